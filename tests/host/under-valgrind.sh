#!/bin/sh
# SPDX-License-Identifier: MIT
#
# under-valgrind.sh PROGRAM: in valgrind a program with a process pool works, or
# says that it cannot (3.19 knows no pidfds).
said=$(timeout 100 valgrind -q "$1" 2>&1)
case $said in
*worked* | *SHUNT_ENOTSUP*) ;;
*)
    echo "$said"
    exit 1
    ;;
esac
