#!/bin/sh
# SPDX-License-Identifier: MIT
#
# under-gdb.sh PROGRAM: a program with a process pool runs to its end in gdb.
said=$(timeout 100 gdb -nx -q -batch -iex 'set debuginfod enabled off' \
    -ex run --args "$1" 2>&1)
case $said in
*worked*'exited normally'*) ;;
*)
    echo "$said"
    exit 1
    ;;
esac
