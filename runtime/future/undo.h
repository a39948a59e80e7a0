/* SPDX-License-Identifier: MIT */
/* future/undo.h - a record that was never accepted. */
#ifndef SH_FUTURE_UNDO_H
#define SH_FUTURE_UNDO_H

#include "future/settle.h"

/* A record in INIT, seen with word, whose maker has died, gives back what it was
 * lent, and is free; but a retry whose first attempt was accepted settles. */
void sh_undo(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* What a turn of a retry, which is ours since that owner has died, was making:
 * before there is another turn, which may take the same place in the ticket. */
void sh_undo_attempt(struct sh_pool *pool, struct sh_record *r, unsigned owner);

#endif /* SH_FUTURE_UNDO_H */
