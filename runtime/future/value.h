/* SPDX-License-Identifier: MIT */
/* future/value.h - values and errors of handles that were looked up. */
#ifndef SH_FUTURE_VALUE_H
#define SH_FUTURE_VALUE_H

#include "task/data.h"
#include "task/handle.h"

/* The value of a future that succeeded. False if it did not, or went away. */
bool sh_value_of(const struct sh_ref *ref, struct sh_value *value_out);

/* Never NULL. */
const shunt_error *sh_error_of(const struct sh_ref *ref);

/* For shunt_last_error: a copy is kept. */
void sh_remember_error(const shunt_error *error);

/* The end of take and join, after the wait for ref ended with status. */
int sh_take_settled(struct sh_ref *ref, int status, void *out, size_t size,
                    bool joins);

#endif /* SH_FUTURE_VALUE_H */
