#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build-loadable.sh - a jemalloc whose private copy may be loaded at run time,
# from Debian's source package.
#
#   build-loadable.sh DIR
#   meson setup -Djemalloc_archive=DIR/libjemalloc_pic.a ...
#
# Debian's archive keeps its thread-local state in the static block, which
# glibc sizes when a program starts (docs/decisions/0001-private-jemalloc.md).
# This one asks for it when a thread first needs it.
set -eu
dir=$(realpath -m "$1")
state=$dir/apt
rm -rf "$dir"
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
cd "$dir"

# Sources are asked for beside the system's own lists, which stay as they are.
{
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true
} | sed -n 's/^deb\( .*debian.* main.*\)/deb-src\1/p' >"$state/old.list"
for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    grep -q '^URIs:.*debian' "$file" &&
        sed 's/^Types:.*/Types: deb-src/' "$file" && echo
done >"$state/new.sources"
mkdir "$state/parts"
mv "$state/old.list" "$state/new.sources" "$state/parts"
apt_for() {
    apt-get -o Dir::Etc::SourceList=/dev/null \
        -o Dir::Etc::SourceParts="$state/parts" \
        -o Dir::State="$state" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root "$@"
}
apt_for update
apt_for source --download-only jemalloc
dpkg-source -x jemalloc_*.dsc source
cd source
./configure --disable-initial-exec-tls --disable-cxx
make -j"$(nproc)" build_lib_static
cp lib/libjemalloc_pic.a "$dir"
cd "$dir"
rm -rf source apt jemalloc_*
