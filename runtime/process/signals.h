/* SPDX-License-Identifier: MIT */
/*
 * process/signals.h - what signals are called, also in a signal handler, where
 * the C library's strsignal must not be used.
 */
#ifndef SH_PROCESS_SIGNALS_H
#define SH_PROCESS_SIGNALS_H

/* "SIGSEGV (segmentation fault)"; "a signal without a name". */
const char *sh_signal_text(int sig);

/* "SIGSEGV"; "a signal without a name". */
const char *sh_signal_name(int sig);

#endif /* SH_PROCESS_SIGNALS_H */
