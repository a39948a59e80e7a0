#!/bin/sh
# SPDX-License-Identifier: MIT
#
# relink.sh - make the private copy of jemalloc: one object file whose only
# global names are sh_je_*.
#
#   relink.sh CC AR NM OBJCOPY ARCHIVE OUT
#
# ARCHIVE is a position-independent libjemalloc. Linking it as it is would
# replace malloc in every program that uses shunt; here its public functions
# get a prefix and all other names become local to the object.
#
# Six of the names that jemalloc imports or lets a program override are turned
# to definitions of ours as well: see environment.c.
set -eu
cc=$1 ar=$2 nm=$3 objcopy=$4 archive=$(realpath "$5") out=$(realpath -m "$6")

work=$out.d
rm -rf "$work"
mkdir -p "$work"
cd "$work"

# The member that defines operator new would pull in libstdc++.
"$ar" x "$archive"
rm -f jemalloc_cpp*.o
# CC may be several words. The sanitizers' own flags do not belong here.
$cc -nostdlib -r -o all.o ./*.o

"$nm" -g --defined-only all.o | awk '
    $3 !~ /^(je_|_rjem_)/ { print $3, "sh_je_" $3 }' >rename
for name in secure_getenv readlink dlsym pthread_atfork; do
    echo "$name sh_je_$name"
done >>rename
"$objcopy" --redefine-syms=rename all.o renamed.o

# What jemalloc_private.h declares, and what environment.c defines in place of
# jemalloc's own.
for name in mallocx rallocx sallocx sdallocx dallocx nallocx \
    mallctl mallctlnametomib mallctlbymib malloc_conf malloc_message; do
    echo "sh_je_$name"
done | sort >keep
"$objcopy" --keep-global-symbols=keep --weaken-symbol=sh_je_malloc_conf \
    --weaken-symbol=sh_je_malloc_message renamed.o "$out"

"$nm" -g --defined-only "$out" | awk '{ print $3 }' | sort >kept
if ! cmp -s keep kept; then
    echo "relink.sh: $archive is not a jemalloc 5 that can be copied:" >&2
    diff keep kept >&2 || true
    rm -f "$out"
    exit 1
fi
cd /
rm -rf "$work"
