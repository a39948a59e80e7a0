/* SPDX-License-Identifier: MIT */
/* future/undo.h - a record that was never accepted. */
#ifndef SH_FUTURE_UNDO_H
#define SH_FUTURE_UNDO_H

#include "future/settle.h"

/* A record in INIT whose maker has died gives back what it was lent, and frees
 * what it has. */
void sh_undo(struct sh_work *work, struct sh_pool *pool, struct sh_record *r);

#endif /* SH_FUTURE_UNDO_H */
