/* SPDX-License-Identifier: MIT */
/*
 * signal.h - in the place of the system's, which the checker's pthread.h does
 * not agree with: threads of a client get no signals.
 */
#ifndef SH_MODEL_SIGNAL_H
#define SH_MODEL_SIGNAL_H

typedef unsigned long sigset_t;

#define SIG_SETMASK 2
#define sigfillset(set) ((void)(*(set) = ~0ul))
#define pthread_sigmask(how, set, before) ((void)(set), (void)(before), 0)

#endif /* SH_MODEL_SIGNAL_H */
