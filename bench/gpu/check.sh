#!/bin/sh
# Checks and measures the GPU of this machine, and ends after 9 minutes unless told otherwise: check.sh --out DIR [--minutes M] [--device cuda|cuda-emulated]
# In an unpacked bundle it needs a shell and NVIDIA's libraries, as Python's wheels (python3 on the PATH) or in CUDA_HOME. In a
# checkout it makes the bundle first and runs that, so that there is one way only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -x "$here/jre/bin/java" ]; then
    made=$here/../../out/gpu
    "$here/bundle.sh" --emulation "$made" >&2
    rm -rf "$made/isthmus-gpu"
    tar -C "$made" -xzf "$made/isthmus-gpu-emulation.tar.gz"
    here=$(cd "$made/isthmus-gpu" && pwd)
fi
# Weights and batches lie off the heap; what the heap holds is the plan.
exec "$here/jre/bin/java" -XX:+UseSerialGC -Xmx2g -Xshare:auto -XX:-UsePerfData -Djava.awt.headless=true \
    -Djava.lang.invoke.MethodHandle.CUSTOMIZE_THRESHOLD=-1 --enable-native-access=ALL-UNNAMED \
    "-Disthmus.bundle=$here" "-Disthmus.cuda.emulation=$here/libisthmus_cuda_emulation.so" \
    -cp "$here/lib/*" isthmus.bench.gpu.GpuCheck "$@"
