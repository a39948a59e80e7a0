/* SPDX-License-Identifier: MIT */
/*
 * shunt/errors.h - codes, and the record that a failed future carries.
 *
 * Functions return 0 or a count on success and a negative code otherwise.
 * shunt's own codes lie below -10000, apart from every -errno. SHUNT_PENDING,
 * which is +1, is not a failure: it says that there is no outcome yet.
 */
#ifndef SHUNT_ERRORS_H
#define SHUNT_ERRORS_H

#include "shunt/base.h"

SHUNT_BEGIN_

/* The one list of codes: X(name, value, sentence). */
#define SHUNT_ERRORS(X)                                                     \
    X(SHUNT_EFAILED, -10001, "the task returned a failure of its own")      \
    X(SHUNT_ECANCELED, -10002, "cancelled before there was a result")       \
    X(SHUNT_ETIMEDOUT, -10003, "the deadline passed")                       \
    X(SHUNT_ECRASHED, -10004, "the process that ran the task died")         \
    X(SHUNT_ENOMEM, -10005, "out of memory")                                \
    X(SHUNT_EAGAIN, -10006, "the pool's queue is full")                     \
    X(SHUNT_EINVAL, -10007, "bad argument, or a handle that is not valid")  \
    X(SHUNT_EDEADLK, -10008, "this call would wait for itself")             \
    X(SHUNT_ECLOSED, -10009, "the pool is shut down")                       \
    X(SHUNT_EFORKED, -10010, "the pool belongs to the parent process")      \
    X(SHUNT_ENOTSUP, -10011, "not supported by this pool")                  \
    X(SHUNT_EBROKEN, -10012, "the pool's workers could not be set up")

/* clang-format off */
enum shunt_code {
#define SHUNT_CODE_(name, value, sentence) name = value,
    SHUNT_ERRORS(SHUNT_CODE_)
#undef SHUNT_CODE_
    SHUNT_PENDING = 1
};
/* clang-format on */

/*
 * Why a future failed. Lent: it lives as long as the future from which it was
 * got is held. Strings are never NULL.
 */
typedef struct shunt_error {
    int code;            /* SHUNT_E*, or 0 if there is no failure */
    int task_code;       /* what the task returned, else 0 */
    const char *task;    /* the task that failed first, however many steps
                          * back; "" if it was none */
    const char *message; /* one readable sentence */
    const char *where;   /* "file.c:12", where that task was submitted */
    int signal;          /* that ended its process, else 0 */
    int exit_status;     /* if it left its process, else 0 */
    void *address;       /* of a hardware fault, else NULL */
    unsigned attempts;   /* how often the task was started, or about to be when
                          * its deadline or the end of its pool gave it up; of a
                          * retry: how many attempts were made */
    size_t cause_count;  /* of a combinator: every failure that led to it, */
    const struct shunt_error *const *causes; /* lowest index first; of a retry:
                                              * those of attempts, oldest first
                                              */
    /* Of SHUNT_ECRASHED, when a process that ran tasks has died: */
    const char *backtrace; /* where, one line a frame, the innermost first,
                            * such as "#0 parse_title at titles.c:120"; no end
                            * of line after the last; "" if it is not known */
    bool collateral;       /* the task was parked in that process, and another
                            * is to blame */
    const char *culprit;   /* that other task's name; "" if there is none, or it
                            * is not known */
    int64_t user_ns;      /* processor time that the process had used, in its */
    int64_t system_ns;    /* own code and in the kernel; 0 if not known */
    size_t max_rss_bytes; /* the most memory that it had at a time; 0 if not
                           * known */
} shunt_error;

/* What shunt_finally hands to its function. */
typedef struct shunt_outcome {
    int status;               /* 0 or SHUNT_E* */
    const shunt_error *error; /* never NULL; code 0 on success */
} shunt_outcome;

/*
 * The name of a code, such as "SHUNT_EINVAL"; "SHUNT_PENDING", "success", and
 * "unknown" for what is none of them.
 *
 * Blocks:  never.
 * Threads: any; signal handler too.
 */
SHUNT_API const char *shunt_code_name(int code);

/* The sentence of a code. Blocks and threads: as shunt_code_name. */
SHUNT_API const char *shunt_code_text(int code);

/*
 * All that an error says as one paragraph, without an end of line: message,
 * task, where it was submitted, how often it was started if more than once,
 * what is known of the process if that died, its backtrace, and its causes,
 * numbered (2.1 is the first cause of the second), so far as they are few and
 * not deep; of a cause's backtrace, the first frames. Control characters become
 * spaces.
 *
 * As snprintf: at most size bytes of to are written, the last of them '\0';
 * to may be NULL, and size 0.
 *
 *     char text[200];
 *     int length = shunt_error_format(shunt_last_error(), text, sizeof text);
 *
 * Returns the length that the whole text has, or SHUNT_EINVAL if error is NULL;
 * to is then unwritten.
 * Blocks:  never; allocates nothing.
 * Threads: any; signal handler too, if the error is held there.
 */
SHUNT_API int shunt_error_format(const shunt_error *error, char *to,
                                 size_t size);

SHUNT_END_

#endif /* SHUNT_ERRORS_H */
