#!/bin/sh
# Compiles every kernel file with nvcc for every architecture that we serve and fails on errors, warnings and spills:
#   native/cuda/check.sh [sm...]      Says so and does nothing where there is no nvcc.
cd "$(dirname "$0")" || exit 1
command -v nvcc >/dev/null || { echo "CUDA kernels: there is no nvcc; not compiled for GPUs"; exit 0; }
[ $# -gt 0 ] || set -- 75 80 86 87 89 90 100 120
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
bad=0 n=0
for file in *.cu; do
    for arch in "$@"; do
        n=$((n + 1))
        if ! nvcc -arch="sm_$arch" -cubin -o "$out/cubin" -Xptxas -v --Werror all-warnings "$file" >"$out/log" 2>&1; then
            echo "$file, sm_$arch: does not compile"; cat "$out/log"; bad=1
        elif grep -E '[1-9][0-9]* bytes spill' "$out/log" >/dev/null; then
            echo "$file, sm_$arch: spills:"; grep -B2 -E '[1-9][0-9]* bytes spill' "$out/log"; bad=1
        fi
    done
done
[ $bad = 0 ] && echo "CUDA kernels: $(ls *.cu | wc -l) files for sm_$(echo "$*" | sed 's/ /, sm_/g'): $n compilations, no spills"
exit $bad
