/* SPDX-License-Identifier: MIT */
/*
 * unit/keep_registers.h - sees whether a call keeps the registers that a
 * callee must keep. For one source file of a program.
 */
#ifndef SH_UNIT_KEEP_REGISTERS_H
#define SH_UNIT_KEEP_REGISTERS_H

#include <stdint.h>

/* Put the KEPT words of in into the registers that a callee keeps, call
 * call(arg), and store to out what they are then. */
__attribute__((visibility("hidden"))) void keep_registers(const uint64_t *in,
                                                          uint64_t *out,
                                                          void (*call)(void *),
                                                          void *arg);

/* clang-format off: two instructions a line are easier to compare */
#if defined(__x86_64__)
#define KEPT 6
__asm__(".pushsection .text\n"
        ".globl keep_registers\n"
        ".hidden keep_registers\n"
        ".type keep_registers, @function\n"
        "keep_registers:\n"
        "    endbr64\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    pushq %rsi\n"
        "    movq 0(%rdi), %rbp\n    movq 8(%rdi), %rbx\n"
        "    movq 16(%rdi), %r12\n   movq 24(%rdi), %r13\n"
        "    movq 32(%rdi), %r14\n   movq 40(%rdi), %r15\n"
        "    movq %rcx, %rdi\n"
        "    call *%rdx\n"
        "    popq %rsi\n"
        "    movq %rbp, 0(%rsi)\n    movq %rbx, 8(%rsi)\n"
        "    movq %r12, 16(%rsi)\n   movq %r13, 24(%rsi)\n"
        "    movq %r14, 32(%rsi)\n   movq %r15, 40(%rsi)\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size keep_registers, . - keep_registers\n"
        ".popsection\n");
#elif defined(__aarch64__)
#define KEPT 19
__asm__(".pushsection .text\n"
        ".globl keep_registers\n"
        ".hidden keep_registers\n"
        ".type keep_registers, %function\n"
        "keep_registers:\n"
        "    hint #34\n"
        "    stp x29, x30, [sp, #-176]!\n"
        "    stp x19, x20, [sp, #16]\n    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n   stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n   str x1, [sp, #160]\n"
        "    ldp x19, x20, [x0]\n         ldp x21, x22, [x0, #16]\n"
        "    ldp x23, x24, [x0, #32]\n    ldp x25, x26, [x0, #48]\n"
        "    ldp x27, x28, [x0, #64]\n    ldp d8, d9, [x0, #80]\n"
        "    ldp d10, d11, [x0, #96]\n    ldp d12, d13, [x0, #112]\n"
        "    ldp d14, d15, [x0, #128]\n   ldr x29, [x0, #144]\n"
        "    mov x0, x3\n"
        "    blr x2\n"
        "    ldr x1, [sp, #160]\n"
        "    stp x19, x20, [x1]\n         stp x21, x22, [x1, #16]\n"
        "    stp x23, x24, [x1, #32]\n    stp x25, x26, [x1, #48]\n"
        "    stp x27, x28, [x1, #64]\n    stp d8, d9, [x1, #80]\n"
        "    stp d10, d11, [x1, #96]\n    stp d12, d13, [x1, #112]\n"
        "    stp d14, d15, [x1, #128]\n   str x29, [x1, #144]\n"
        "    ldp d14, d15, [sp, #144]\n   ldp d12, d13, [sp, #128]\n"
        "    ldp d10, d11, [sp, #112]\n   ldp d8, d9, [sp, #96]\n"
        "    ldp x27, x28, [sp, #80]\n    ldp x25, x26, [sp, #64]\n"
        "    ldp x23, x24, [sp, #48]\n    ldp x21, x22, [sp, #32]\n"
        "    ldp x19, x20, [sp, #16]\n    ldp x29, x30, [sp], #176\n"
        "    ret\n"
        ".size keep_registers, . - keep_registers\n"
        ".popsection\n");
#endif
/* clang-format on */

#endif /* SH_UNIT_KEEP_REGISTERS_H */
