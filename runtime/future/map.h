/* SPDX-License-Identifier: MIT */
/* future/map.h - what a worker does with a dealer of shunt_map; see map.c. */
#ifndef SH_FUTURE_MAP_H
#define SH_FUTURE_MAP_H

#include "future/settle.h"

/* A worker has claimed a dealer. True: it is READY again, with this hint, and
 * somebody else's. False: there is nothing left to deal, it has ended. */
bool sh_map_deal(struct sh_pool *pool, struct sh_record *r, uint64_t hint,
                 struct sh_post *post);

#endif /* SH_FUTURE_MAP_H */
