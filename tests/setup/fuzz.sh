#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET…]: runs each fuzz target for so many seconds; without TARGET all of them.
#
# Guarantees: works with any stable toolchain, because only the coverage passes of LLVM and
# libFuzzer are used, no sanitizer (the code under test is safe Rust). Overflow checks are on. What
# the fuzzer learns stays in the target folder. An input that breaks a target is kept in
# tests/fuzz/artifacts; the other targets still run, and the exit code is non-zero.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=$1
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in tests/fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/fuzz
# The flags of cargo-fuzz without its sanitizer.
export RUSTFLAGS="--cfg fuzzing -C codegen-units=1 -C opt-level=3 -C passes=sancov-module
    -C llvm-args=-sanitizer-coverage-level=4
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters
    -C llvm-args=-sanitizer-coverage-pc-table
    -C llvm-args=-sanitizer-coverage-trace-compares"
# With a target named, the flags do not reach build scripts and macros, which have no libFuzzer.
host=$(rustc -vV | sed -n 's/^host: //p')
bins=("${targets[@]/#/--bin=}")
cargo build --locked --package sluicegate-fuzz --features libfuzzer --target "$host" "${bins[@]}"

broken=()
for target in "${targets[@]}"; do
    learned=$CARGO_TARGET_DIR/corpus/$target
    artifacts=tests/fuzz/artifacts/$target
    mkdir -p "$learned" "$artifacts"
    echo "==> fuzz $target, $seconds s" >&2
    log=$CARGO_TARGET_DIR/$target.log
    if ! "$CARGO_TARGET_DIR/$host/debug/$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$artifacts/" \
        "$learned" "tests/fuzz/corpus/$target" 2>"$log"; then
        tail -n 40 "$log" >&2
        broken+=("$target")
    fi
    grep -E 'stat::(number_of_executed_units|new_units_added)' "$log" >&2 || true
done

if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: broken: ${broken[*]}; the inputs are in tests/fuzz/artifacts" >&2
    exit 1
fi
