/* SPDX-License-Identifier: MIT */
/*
 * fiber/switch_x86_64.S - the context switch, System V calling convention.
 *
 * A parked stack, from its stack pointer upwards:
 *
 *      0  mxcsr   4  x87 control word   8  r15   16  r14   24  r13
 *     32  r12    40  rbx               48  rbp   56  return address
 *
 * The unwind tables describe this frame at every instruction, so a debugger
 * or profiler can walk a running fiber down to sh_fiber_root, and a parked
 * one from sh_fiber_parked (fiber.h says how).
 *
 * Control flow enforcement. Every target of an indirect jump begins with
 * endbr64, so the object is marked for IBT. It is not marked for SHSTK: each
 * fiber would need a shadow stack of its own, mapped by a system call and
 * switched with rstorssp. Without the mark the C library leaves shadow stacks
 * off, instead of a `ret` to another fiber killing the program.
 */

    .text

/* Push what the callee keeps; leave the stack pointer at the frame above. */
    .macro park
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    .endm

/* void sh_fiber_swap(void **save: rdi, void *load: rsi) */
    .globl  sh_fiber_swap
    .hidden sh_fiber_swap
    .type   sh_fiber_swap, @function
    .p2align 4
sh_fiber_swap:
    .cfi_startproc
    endbr64
    park
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    /* Another stack, the same frame: the unwind rules stay as they are. */
    .globl  sh_fiber_parked
    .hidden sh_fiber_parked
sh_fiber_parked:
    ldmxcsr (%rsp)
    fldcw   4(%rsp)
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size   sh_fiber_swap, . - sh_fiber_swap

/* void sh_fiber_boot(void **save: rdi, void *top: rsi,
 *                    void (*enter)(void *): rdx, void *arg: rcx,
 *                    uint64_t control: r8) */
    .globl  sh_fiber_boot
    .hidden sh_fiber_boot
    .type   sh_fiber_boot, @function
    .p2align 4
sh_fiber_boot:
    .cfi_startproc
    endbr64
    park
    movq    %rsp, (%rdi)
    jmp     sh_fiber_root
    .cfi_endproc
    .size   sh_fiber_boot, . - sh_fiber_boot

/* The first frame of a fresh stack. It has no caller: the unwind table says so
 * by an undefined return address, the frame pointer by being 0, and, for who
 * only guesses, so does the word at the stack pointer. */
    .globl  sh_fiber_root
    .hidden sh_fiber_root
    .type   sh_fiber_root, @function
    .p2align 4
sh_fiber_root:
    .cfi_startproc
    .cfi_undefined %rip
    movq    %rsi, %rsp
    subq    $16, %rsp
    .cfi_def_cfa_offset 16
    movq    $0, (%rsp)
    movq    %r8, 8(%rsp)
    ldmxcsr 8(%rsp)
    fldcw   12(%rsp)
    xorl    %ebp, %ebp
    movq    %rcx, %rdi
    call    *%rdx
    ud2
    .cfi_endproc
    .size   sh_fiber_root, . - sh_fiber_root

/* uint64_t sh_fiber_control(void): as the two words at the bottom of a parked
 * stack; the low six bits of mxcsr are the sticky flags. */
    .globl  sh_fiber_control
    .hidden sh_fiber_control
    .type   sh_fiber_control, @function
    .p2align 4
sh_fiber_control:
    .cfi_startproc
    endbr64
    movq    $0, -8(%rsp)
    stmxcsr -8(%rsp)
    fnstcw  -4(%rsp)
    movq    -8(%rsp), %rax
    andq    $-64, %rax
    ret
    .cfi_endproc
    .size   sh_fiber_control, . - sh_fiber_control

    .section .note.GNU-stack, "", @progbits

/* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_X86_FEATURE_1_AND = IBT. */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long   4
    .long   16
    .long   5
    .asciz  "GNU"
    .long   0xc0000002
    .long   4
    .long   1
    .long   0
