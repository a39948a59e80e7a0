/* SPDX-License-Identifier: MIT */
/* process/serve.h - what a worker process does: it serves its pool. */
#ifndef SH_PROCESS_SERVE_H
#define SH_PROCESS_SERVE_H

/* Be worker index of pool, a struct sh_pool, until that ends. Its result is the
 * exit status of the process. */
int sh_serve(void *pool, unsigned index);

#endif /* SH_PROCESS_SERVE_H */
