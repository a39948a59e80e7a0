/* SPDX-License-Identifier: MIT */
/*
 * fiber/switch_aarch64.S - the context switch, AAPCS64 calling convention.
 *
 * A parked stack, from its stack pointer upwards:
 *
 *      0  x29   8  x30   16  x19 ... x28   96  d8 ... d15   160  fpcr
 *
 * x29 and x30 come first, as a frame record, so walking frame pointers works.
 * The unwind tables describe this frame at every instruction, so a debugger
 * or profiler can walk a running fiber down to sh_fiber_root, and a parked
 * one from sh_fiber_parked (fiber.h says how); 64 + n in them is vn. Of the
 * vector registers the callee keeps the low halves of v8 to v15 only; SVE's
 * are the caller's.
 *
 * Control flow enforcement. Return addresses are signed while parked; the
 * stack pointer that signs is the same again on resuming. Signing also makes
 * a landing pad, so the object is marked for BTI and PAC. The instructions
 * are spelled as hints, which older assemblers and processors take as well.
 * It is not marked for guarded control stacks (GCS): each fiber would need
 * one of its own.
 */

    .text

    .equ    FRAME, 176

/* Save what the callee keeps; leave the stack pointer at the frame above. */
    .macro park
    hint    #25                         /* paciasp */
    .cfi_negate_ra_state
    stp     x29, x30, [sp, #-FRAME]!
    .cfi_def_cfa_offset FRAME
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp     x19, x20, [sp, #16]
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    stp     x21, x22, [sp, #32]
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    stp     x23, x24, [sp, #48]
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    stp     x25, x26, [sp, #64]
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    stp     x27, x28, [sp, #80]
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp     d8, d9, [sp, #96]
    .cfi_rel_offset 72, 96
    .cfi_rel_offset 73, 104
    stp     d10, d11, [sp, #112]
    .cfi_rel_offset 74, 112
    .cfi_rel_offset 75, 120
    stp     d12, d13, [sp, #128]
    .cfi_rel_offset 76, 128
    .cfi_rel_offset 77, 136
    stp     d14, d15, [sp, #144]
    .cfi_rel_offset 78, 144
    .cfi_rel_offset 79, 152
    mrs     x9, fpcr
    str     x9, [sp, #160]
    mov     x10, sp
    str     x10, [x0]
    .endm

/* void sh_fiber_swap(void **save: x0, void *load: x1) */
    .globl  sh_fiber_swap
    .hidden sh_fiber_swap
    .type   sh_fiber_swap, %function
    .p2align 4
sh_fiber_swap:
    .cfi_startproc
    park
    mov     sp, x1
    /* Another stack, the same frame: the unwind rules stay as they are. */
    .globl  sh_fiber_parked
    .hidden sh_fiber_parked
sh_fiber_parked:
    /* Writing fpcr drains the pipeline; mostly it is the same already. */
    ldr     x9, [sp, #160]
    mrs     x10, fpcr
    cmp     x9, x10
    b.eq    1f
    msr     fpcr, x9
1:
    ldp     d14, d15, [sp, #144]
    .cfi_restore 78
    .cfi_restore 79
    ldp     d12, d13, [sp, #128]
    .cfi_restore 76
    .cfi_restore 77
    ldp     d10, d11, [sp, #112]
    .cfi_restore 74
    .cfi_restore 75
    ldp     d8, d9, [sp, #96]
    .cfi_restore 72
    .cfi_restore 73
    ldp     x27, x28, [sp, #80]
    .cfi_restore x27
    .cfi_restore x28
    ldp     x25, x26, [sp, #64]
    .cfi_restore x25
    .cfi_restore x26
    ldp     x23, x24, [sp, #48]
    .cfi_restore x23
    .cfi_restore x24
    ldp     x21, x22, [sp, #32]
    .cfi_restore x21
    .cfi_restore x22
    ldp     x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp     x29, x30, [sp], #FRAME
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    hint    #29                         /* autiasp */
    .cfi_negate_ra_state
    ret
    .cfi_endproc
    .size   sh_fiber_swap, . - sh_fiber_swap

/* void sh_fiber_boot(void **save: x0, void *top: x1,
 *                    void (*enter)(void *): x2, void *arg: x3,
 *                    uint64_t control: x4) */
    .globl  sh_fiber_boot
    .hidden sh_fiber_boot
    .type   sh_fiber_boot, %function
    .p2align 4
sh_fiber_boot:
    .cfi_startproc
    park
    b       sh_fiber_root
    .cfi_endproc
    .size   sh_fiber_boot, . - sh_fiber_boot

/* The first frame of a fresh stack. It has no caller, which the unwind table
 * says by an undefined return address, and the frame pointer by being 0. */
    .globl  sh_fiber_root
    .hidden sh_fiber_root
    .type   sh_fiber_root, %function
    .p2align 4
sh_fiber_root:
    .cfi_startproc
    .cfi_undefined x30
    mov     sp, x1
    msr     fpcr, x4
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x3
    blr     x2
    brk     #0
    .cfi_endproc
    .size   sh_fiber_root, . - sh_fiber_root

/* uint64_t sh_fiber_control(void): fpcr has no sticky flags. */
    .globl  sh_fiber_control
    .hidden sh_fiber_control
    .type   sh_fiber_control, %function
    .p2align 4
sh_fiber_control:
    .cfi_startproc
    hint    #34                         /* bti c */
    mrs     x0, fpcr
    ret
    .cfi_endproc
    .size   sh_fiber_control, . - sh_fiber_control

    .section .note.GNU-stack, "", %progbits

/* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_AARCH64_FEATURE_1_AND = BTI, PAC. */
    .section .note.gnu.property, "a"
    .p2align 3
    .long   4
    .long   16
    .long   5
    .asciz  "GNU"
    .long   0xc0000000
    .long   4
    .long   3
    .long   0
