#!/usr/bin/env bash
# `make fuzz`: every target of crates/fuzz under libFuzzer for FUZZ_SECONDS (default 60) each, or those
# in FUZZ_TARGETS. `clients` among them is the mutating HTTP client, which sends to a running system and
# needs no coverage. The corpus stays in .setup/fuzz/, which git ignores, so that the next run continues
# from it.
#
# The pinned stable toolchain is enough: coverage is an LLVM pass that rustc can run. `--target`
# keeps it out of build scripts and macros.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

seconds=${FUZZ_SECONDS:-60}
read -r -a chosen <<<"${FUZZ_TARGETS:-$(cd crates/fuzz/seeds && echo *) clients}"
targets=() clients=false
for target in "${chosen[@]}"; do
    if [ "$target" = clients ]; then clients=true; else targets+=("$target"); fi
done

deploy/setup.sh test
host=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-target}/fuzz

if [ ${#targets[@]} -gt 0 ]; then
    step "build with coverage"
    coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
    for kind in inline-8bit-counters pc-table trace-compares; do
        coverage+=" -Cllvm-args=-sanitizer-coverage-$kind"
    done
    RUSTFLAGS="$coverage" cargo build --locked --profile fuzz -p fuzz --features libfuzzer --bin fuzz \
        --target "$host" --target-dir "$folder"
fi

for target in "${targets[@]}"; do
    step "$target: $seconds s"
    corpus=.setup/fuzz/$target
    mkdir -p "$corpus"
    if ! FUZZ_TARGET=$target "$folder/$host/fuzz/fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -rss_limit_mb=1024 -dict=crates/fuzz/tokens.dict -artifact_prefix=".setup/fuzz/$target-" \
        -print_final_stats=1 "$corpus" "crates/fuzz/seeds/$target" >".setup/fuzz/$target.log" 2>&1; then
        tail -n 40 ".setup/fuzz/$target.log" >&2
        fail "$target violated a property; the input is .setup/fuzz/$target-*. Once it is fixed, move it to
    crates/fuzz/seeds/$target/, where cargo test -p fuzz runs it."
    fi
    grep -E 'DONE|number_of_executed_units' ".setup/fuzz/$target.log"
done
if "$clients"; then
    step "clients: $seconds s"
    cargo build --locked --workspace --bins --features forgewire/demo
    FUZZ_SECONDS=$seconds cargo test --locked --workspace --features forgewire/demo --test short -- \
        --nocapture clients
fi
finish_step
