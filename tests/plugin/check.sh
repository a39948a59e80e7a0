#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check.sh - a plugin that uses shunt, loaded in every way that is promised.
#
#   check.sh HOST_PLAIN HOST_LINKED PLUGIN LIBSHUNT
#
# A libshunt.so whose thread-local storage has to be in the static block, and
# is larger than what glibc keeps there for latecomers, can be loaded at run
# time only with help: docs/decisions/0001-private-jemalloc.md. Any other one
# has to load without.
set -u
plain=$1 linked=$2 plugin=$3 lib=$4
spare=1024 # bytes; glibc 2.36 keeps some 1,700 by default, for everybody
failed=0

try() {
    what=$1
    shift
    if said=$("$@" 2>&1); then
        echo "works: $what"
    else
        echo "FAILS: $what: $said"
        failed=1
    fi
}

static=$(readelf -d "$lib" | grep -c STATIC_TLS)
bytes=$(($(readelf -lW "$lib" |
    awk '$1 == "TLS" { size = $6 } END { print size ? size : 0 }')))
echo "libshunt: $bytes bytes a thread, in the static block: $static"

try 'a host that is linked with shunt' "$linked" "$plugin"
try 'GLIBC_TUNABLES' env \
    GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096 "$plain" "$plugin"
try 'LD_PRELOAD' env LD_PRELOAD="$lib" "$plain" "$plugin"
if [ "$static" = 0 ] || [ "$bytes" -le "$spare" ]; then
    try 'a host that knows nothing of shunt' "$plain" "$plugin"
elif said=$("$plain" "$plugin" 2>&1); then
    echo 'works: a host that knows nothing of shunt, which is not promised'
else
    # The loader says why, and nothing worse happens.
    case $said in
    *'cannot allocate memory in static TLS block'*)
        echo 'refused, as it should be: a host that knows nothing of shunt' ;;
    *)
        echo "FAILS: a host that knows nothing of shunt: $said"
        failed=1 ;;
    esac
fi
exit $failed
