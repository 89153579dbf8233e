#!/bin/sh
# Proves the check of a GPU on a machine without one: the bundle is made, unpacked into an empty folder and run there with an
# empty environment on the emulation with tiny sizes; then every part must stand in its report.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/bundle.sh" --emulation "$work"
mkdir "$work/empty"
cd "$work/empty"
tar xzf "$work/isthmus-gpu-emulation.tar.gz"
env -i ISTHMUS_CACHE="$work/cache" /bin/sh isthmus-gpu/check.sh --out "$work/result" --device cuda-emulated --minutes 60
[ -s "$work/result/gpu.md" ] && [ -s "$work/result/cudnn-device.json" ]
grep -q '"finished" : true' "$work/result/gpu.json"
for part in versions reference conv3d step-densenet121-256 step-resnet34-256 step-efficientnet_b0-256 step-densenet121-32 \
        step-densenet121-16 step-segresnet-4 step-retinanet3d-4 step-convnet2-256 step-convnet2-256-lora step-convnet2-32 memory \
        ceilings profile step-densenet121-tf32; do
    grep -A 2 "\"name\" : \"$part\"" "$work/result/gpu.json" | grep -q '"status" : "OK"' || { echo "prove.sh: $part is not OK" >&2; exit 1; }
done
[ "$(grep -c '"name" : "pytorch-' "$work/result/gpu.json")" -ge 9 ] || { echo "prove.sh: parts of PyTorch's are missing" >&2; exit 1; }
