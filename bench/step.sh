#!/usr/bin/env bash
# Time of a whole training step on made-up data in memory, as one line of JSON:
#   bench/step.sh resnet34 32 224 bf16 [STEPS [THREADS [DEVICE]]]
# Build first: mvn -q -DskipTests package. Measure on a quiet machine, interleaved with what you compare to.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
java="${JAVA_HOME:+$JAVA_HOME/bin/java}"
for home in /usr/lib/jvm/*; do
  [ -x "$java" ] && [ "$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p' | cut -d. -f1)" -ge 22 ] && break
  java="$home/bin/java"
done
exec "$java" "-Disthmus.cuda.emulation=$root/native/target/native/emulation/libisthmus_cuda_emulation.so" --enable-native-access=isthmus.bindings,ALL-UNNAMED --module-path "$root/models/target/modules" --add-modules ALL-MODULE-PATH \
  -cp "$(printf '%s' "$root"/models/target/isthmus-models-*.jar):$(printf '%s' "$root"/bench/target/isthmus-bench-*.jar):$root/models/target/lib/*" \
  isthmus.bench.TrainingStep "$@"
