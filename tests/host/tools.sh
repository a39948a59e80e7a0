#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tools.sh PROGRAM: a program with a process pool runs to its end under gdb, and
# under valgrind it does or says that it cannot (3.19 knows no pidfds).
plain=$1 ran=0

fail() {
    echo "$1: not as it should be"
    echo "$2"
    exit 1
}

if command -v gdb >/dev/null; then
    said=$(timeout 100 gdb -nx -q -batch -iex 'set debuginfod enabled off' \
        -ex run --args "$plain" 2>&1)
    case $said in
    *worked*'exited normally'*) ran=1 ;;
    *'Operation not permitted'*) echo 'gdb may not trace here' ;;
    *) fail gdb "$said" ;;
    esac
else
    echo 'there is no gdb'
fi

if command -v valgrind >/dev/null; then
    said=$(timeout 100 valgrind -q "$plain" 2>&1)
    case $said in
    *worked* | *SHUNT_ENOTSUP*) ran=1 ;;
    *) fail valgrind "$said" ;;
    esac
else
    echo 'there is no valgrind'
fi

[ $ran = 1 ] || exit 77
