#!/bin/sh
# Runs a jextract from the PATH on oneDNN's headers: jextract.sh ARTIFACT-JAR FOLDER
command -v jextract >/dev/null || {
    echo "isthmus: jextract is not on the PATH; get it from jdk.java.net/jextract, or build without -Pjextract" >&2; exit 1; }
set -e
rm -rf "$2" && mkdir -p "$2/headers"
(cd "$2/headers" && "${JAVA_HOME:+$JAVA_HOME/bin/}jar" xf "$1" org/bytedeco/dnnl/linux-x86_64/include)
include=$2/headers/org/bytedeco/dnnl/linux-x86_64/include
# The debug header declares dnnl_status2str, which is bound too.
printf '#include <oneapi/dnnl/dnnl.h>\n#include <oneapi/dnnl/dnnl_debug.h>\n' > "$2/all.h"
exec jextract --output "$2/java" --target-package onednn -I "$include" "$2/all.h"
