#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check.sh - what a user gets from an installed shunt.
#
#   check.sh BUILD_DIR SOURCE_DIR
#
# Installs into a folder of its own and uses nothing but that: every header by
# itself and a program, as C11 and as C++17, with each compiler that is here,
# against the shared and the static library; and the names that both export.
set -eu
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

prefix=$(meson introspect --buildoptions "$build" | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
DESTDIR=$work meson install -C "$build" --no-rebuild --quiet
root=$work$prefix
pc=$(find "$root" -name shunt.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=${pc%/*}
config() {
    pkg-config --define-variable=prefix="$root" "$@" shunt
}

failed=0
count=0
try() {
    what=$1
    shift
    count=$((count + 1))
    "$@" || { echo "FAILS: $what: $*"; failed=1; }
}

warnings='-pedantic -Wall -Wextra -Werror'
check_language() { # compiler, standard, source, suffix
    local cc=$1 std=$2 program=$3 suffix=$4 header cflags
    cflags=$(config --cflags)
    for header in "$root"/include/shunt/*.h; do
        printf '#include <shunt/%s>\n#include <shunt/%s>\n' \
            "${header##*/}" "${header##*/}" >"$work/header.$suffix"
        # shellcheck disable=SC2086
        try "${header##*/} alone" "$cc" -std="$std" $warnings $cflags \
            -c -o "$work/header.o" "$work/header.$suffix"
    done
    # shellcheck disable=SC2046,SC2086
    try "$cc, shared" "$cc" -std="$std" $warnings $(config --cflags) \
        -o "$work/shared" "$program" $(config --libs)
    try "$cc, shared, run" env LD_LIBRARY_PATH="$libdir" "$work/shared"
    # shellcheck disable=SC2046,SC2086
    try "$cc, static" "$cc" -std="$std" $warnings $(config --cflags) \
        -o "$work/static" "$program" -L"$work/static_only" \
        $(config --libs --static)
    try "$cc, static, run" "$work/static"
}

# The static library alone, or the linker takes the shared one.
mkdir "$work/static_only"
cp "$libdir/libshunt.a" "$work/static_only"

languages=0
for cc in gcc clang; do
    if command -v $cc >/dev/null; then
        check_language $cc c11 "$source/tests/install/consumer.c" c
        languages=$((languages + 1))
    fi
done
for cc in g++ clang++; do
    if command -v $cc >/dev/null; then
        check_language $cc c++17 "$source/tests/install/consumer.cc" cc
        languages=$((languages + 1))
    fi
done
[ $languages -ge 2 ] || { echo 'FAILS: no C compiler or no C++ compiler'; failed=1; }

exported=$(nm -D --defined-only "$libdir/libshunt.so" |
    awk '{ print $3 }' | grep -v '^SHUNT_0$')
if [ -z "$exported" ] || echo "$exported" | grep -v '^shunt_.*@@SHUNT_0$'; then
    echo 'FAILS: libshunt.so exports other names than shunt_*@@SHUNT_0'
    failed=1
fi
inside=$(nm -g --defined-only "$libdir/libshunt.a" | awk 'NF == 3 { print $3 }')
if [ -z "$inside" ] || echo "$inside" | grep -v -e '^shunt_' -e '^sh_'; then
    echo 'FAILS: libshunt.a defines other names than shunt_* and sh_*'
    failed=1
fi

# What the headers declare is there, and nothing else is.
# shellcheck disable=SC2046
declared=$(printf "#include <shunt/%s>\n" shunt.h forkjoin.h |
    gcc -E $(config --cflags) -xc - | tr '\n' ' ' |
    grep -oE '\bshunt_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u)
for name in $exported; do
    name=${name%%@*}
    echo "$declared" | grep -qx "$name" || {
        echo "FAILS: $name is exported and in no header"
        failed=1
    }
done

echo "$count steps, $languages compilers"
exit $failed
