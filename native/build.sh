#!/bin/sh
# Builds the kernels into the given folder; says in one line what is missing.
out=$1
command -v make >/dev/null || { echo "isthmus: make is not installed; install it (Debian: apt-get install make)" >&2; exit 1; }
if [ -z "$CC" ]; then
    for c in gcc clang cc; do command -v $c >/dev/null && CC=$c && break; done
fi
[ -n "$CC" ] && command -v "$CC" >/dev/null || {
    echo "isthmus: no C compiler ${CC:+named $CC }found; install gcc or clang (Debian: apt-get install gcc)" >&2; exit 1; }
# A compiler without the C library's headers fails here, not in the middle of the build.
echo '#include <math.h>' | "$CC" -fsyntax-only -x c - 2>/dev/null || {
    echo "isthmus: $CC finds no C headers; install them (Debian: apt-get install libc6-dev)" >&2; exit 1; }
make -s -C "$(dirname "$0")" OUT="$out" CC="$CC" -j"$(getconf _NPROCESSORS_ONLN)" || exit 1
# The emulation is for tests only: without a C++ compiler they are skipped.
if [ -z "$CXX" ]; then
    for c in g++ clang++ c++; do command -v $c >/dev/null && CXX=$c && break; done
fi
if [ -n "$CXX" ] && echo '#include <vector>' | "$CXX" -fsyntax-only -x c++ - 2>/dev/null; then
    exec make -s -C "$(dirname "$0")" emulation OUT="$out" CXX="$CXX" -j"$(getconf _NPROCESSORS_ONLN)"
fi
echo "isthmus: no C++ compiler: the CUDA emulation is not built and its tests are skipped (Debian: apt-get install g++)" >&2
