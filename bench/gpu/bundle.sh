#!/bin/sh
# Makes OUTDIR/isthmus-gpu.tar.gz: all that the check of a GPU needs on a machine without a JDK, a compiler and a network.
# There: tar xzf isthmus-gpu.tar.gz && isthmus-gpu/check.sh --out DIR
#   bundle.sh [--emulation] OUTDIR    --emulation: the CUDA emulation as well, as isthmus-gpu-emulation.tar.gz
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=isthmus-gpu
most_mb=60

say() { echo "bundle.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# Whether no part of the check calls a jar: oneDNN's and ONNX Runtime's natives, the federation's network and certificates.
is_unused() {
    case ${1##*/} in
        dnnl-* | onnxruntime* | bcp* | bcutil* | netty-* | vertx-* | isthmus-native-*) return 0 ;;
        *) return 1 ;;
    esac
}

# The feature version of the JDK in a folder; 0 if it cannot link a runtime.
feature() {
    [ -x "$1/bin/jlink" ] && [ -r "$1/release" ] || { echo 0; return; }
    sed -n 's/^JAVA_VERSION="\{0,1\}\([0-9]*\).*/\1/p' "$1/release"
}

# The JDK: JAVA_HOME if it is 22 or newer, else the newest of the usual places. It links from jmods, or from itself (JEP 493).
find_jdk() {
    best= best_version=21
    for home in "${JAVA_HOME:-/none}" /usr/lib/jvm/* /opt/java/* "${HOME:-/root}"/.sdkman/candidates/java/* "${HOME:-/root}"/.jdks/*; do
        version=$(feature "$home")
        [ "$version" -gt "$best_version" ] || continue
        best=$home best_version=$version
        [ "$home" != "${JAVA_HOME:-}" ] || break
    done
    echo "$best"
}

emulation=
if [ "${1:-}" = --emulation ]; then emulation=yes; name=isthmus-gpu-emulation; shift; fi
[ $# = 1 ] || die "usage: bundle.sh [--emulation] OUTDIR"
mkdir -p "$1"
out=$(cd "$1" && pwd)
jdk=$(find_jdk)
[ -n "$jdk" ] || die "a JDK 22 or newer with jlink is needed and none was found; install one or set JAVA_HOME to it"

# Builds what is missing or older than its sources.
jar=$(ls "$root"/bench/target/isthmus-bench-*.jar 2>/dev/null | head -n 1)
if [ -z "$jar" ] || [ ! -d "$root/models/target/modules" ] || [ -n "$(find "$root"/pom.xml "$root"/native "$root"/bindings "$root"/runtime \
        "$root"/fedserver "$root"/models "$root"/bench \( -name target -o -path '*/src/main/sample' -o -path '*/bench/gpu' \) -prune \
        -o -type f -newer "$jar" -print | head -n 1)" ]; then
    say "building"
    env "JAVA$(feature "$jdk")_HOME=$jdk" mvn -B -q -f "$root/pom.xml" -DskipTests -Dfast package </dev/null >&2 || die "the build failed"
    jar=$(ls "$root"/bench/target/isthmus-bench-*.jar | head -n 1)
    touch "$jar"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/isthmus-gpu
mkdir -p "$bundle/lib" "$bundle/reference" "$bundle/peer"
"$jdk/bin/jlink" --output "$bundle/jre" --strip-debug --no-header-files --no-man-pages \
    --add-modules java.base,java.desktop,java.logging,java.management,java.naming,java.xml,jdk.management,jdk.unsupported
for file in "$root"/models/target/modules/*.jar "$root"/models/target/lib/*.jar "$root"/models/target/isthmus-models-*.jar "$jar"; do
    is_unused "$file" || cp "$file" "$bundle/lib/"
done
# Of our natives the sources of CUDA kernels; of the tests those that run the reference cases.
"$jdk/bin/jar" --create --file "$bundle/lib/isthmus-cuda.jar" -C "$root/native/target/classes" isthmus/native/cuda \
    -C "$root/native/target/classes" isthmus/native/include
"$jdk/bin/jar" --create --file "$bundle/lib/isthmus-reference.jar" -C "$root/runtime/target/test-classes" isthmus
cp "$root"/runtime/src/test/resources/reference/*.json "$bundle/reference/"
cp "$root/bench/peer/torch_train.py" "$bundle/peer/"
cp "$here/check.sh" "$bundle/"
if [ -n "$emulation" ]; then
    library=$root/native/target/native/emulation/libisthmus_cuda_emulation.so
    [ -f "$library" ] || die "the emulation is not built: a C++ compiler is missing (Debian: apt-get install g++)"
    cp "$library" "$bundle/"
fi
tar -C "$work" --owner=0 --group=0 --sort=name --mtime='2026-01-01 00:00Z' -cf - isthmus-gpu | gzip -9 >"$out/$name.part"
size=$(wc -c <"$out/$name.part")
[ "$size" -le $((most_mb * 1000000)) ] || die "the bundle has $size bytes; at most $most_mb MB can be carried"
mv "$out/$name.part" "$out/$name.tar.gz"
echo "$out/$name.tar.gz: $((size / 100000 / 10)).$((size / 100000 % 10)) MB"
