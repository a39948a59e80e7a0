/* SPDX-License-Identifier: MIT */
/*
 * linked.c - makes host.c a program that was linked with shunt: the linker
 * drops a library of which nothing is used.
 */
#include <shunt/shunt.h>

extern const char *(*const host_version)(void);
const char *(*const host_version)(void) = shunt_version;
