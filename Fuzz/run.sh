#!/usr/bin/env bash
# Coverage-guided fuzzing with libFuzzer and the address sanitizer.
#
#   Fuzz/run.sh [TARGET [SECONDS]]
#
# A target is a folder Fuzz/Fuzz*; without one all run, MINUTES (default 1) minutes each. An input
# that breaks a rule is left in .build-fuzz/crashes. What was learnt is kept in .build-fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."

build=.build-fuzz
minutes=${MINUTES:-1}
seconds=${2:-$((minutes * 60))}
if [ $# -gt 0 ]; then targets=("$1"); else targets=(Fuzz/Fuzz*/); fi
targets=("${targets[@]#Fuzz/}")
targets=("${targets[@]%/}")

# The package has the fuzz targets only while this is set: the ordinary build needs no libFuzzer.
export SLUICE_FUZZ=1
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=0

# Real frames to begin with: the golden ones, in the form that each target takes.
seed() {
  local target=$1 corpus=$2 line kind api version hex key
  local -i number=0
  while read -r kind api version hex; do
    case $target:$kind in
      FuzzRequests:request) ;;
      FuzzResponses:response)
        # The body follows the correlation id, and the empty tagged fields of a flexible header.
        key=$(find protocol/api -name "*-$api.wire" -printf '%f' | cut -d- -f1)
        local first
        first=$(sed -n 's/^flexible \([0-9]*\)+/\1/p' "protocol/api/$key-$api.wire")
        hex=${hex:8}
        if [ "$api" != ApiVersions ] && [ -n "$first" ] && [ "$version" -ge "$first" ]; then
          hex=${hex:2}
        fi
        hex=$(printf '%02x%02x%s' "$((10#$key))" "$version" "$hex")
        ;;
      *) continue ;;
    esac
    number+=1
    printf '%s' "${hex^^}" | basenc --base16 --decode >"$corpus/golden-$number"
  done < <(cat Tests/KafkaProtocolTests/Golden/*.hex)
}

for target in "${targets[@]}"; do
  echo "fuzz: building $target"
  swift build -c release --scratch-path "$build" --product "$target" \
    -Xswiftc -sanitize=fuzzer,address -Xswiftc -parse-as-library >"$build.log" 2>&1 \
    || { cat "$build.log"; exit 1; }
  swiftc -use-ld=lld -sanitize=fuzzer,address -o "$build/$target" \
    -Xlinker --whole-archive "$build/release/lib$target.a" -Xlinker --no-whole-archive
  mkdir -p "$build/corpus/$target" "$build/crashes"
  seed "$target" "$build/corpus/$target"
  echo "fuzz: running $target for $seconds s"
  # No input of 4 KiB justifies an allocation of 2 MiB.
  "$build/$target" "$build/corpus/$target" -max_total_time="$seconds" -max_len=4096 \
    -malloc_limit_mb=2 -timeout=5 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="$build/crashes/$target-" 2>"$build/$target.log" \
    || { tail -60 "$build/$target.log"; exit 1; }
  grep -E 'number_of_executed|average_exec|peak_rss|cov: ' "$build/$target.log" | tail -4
done
