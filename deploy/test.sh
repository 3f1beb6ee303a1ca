#!/usr/bin/env bash
# `make test`: everything that the tests need, then all of them. Arguments go to `cargo test`
# (default: --workspace), for instance `deploy/test.sh --workspace --test interop`.
# `deploy/test.sh --crate NAME` (`make test CRATE=NAME`) runs the tests of one crate.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

if [ "${1:-}" = --crate ]; then
    crate=${2:?"the name of a crate is missing"}
    shift 2
    # The scenarios start the binary, so they are built with it; every other crate is built alone.
    if [ "$crate" = tests ]; then
        set -- -p tests -p forgewire "$@"
    else
        step "set-up"
        deploy/setup.sh test
        step "tests: $crate"
        [ "$crate" != forgewire ] || set -- --features demo "$@"
        with_count cargo test --no-run --locked -p "$crate" "$@"
        cargo test --locked -p "$crate" "$@"
        finish_step
        exit
    fi
fi

step "set-up"
deploy/setup.sh test
# The scenarios start real processes. The same features as below: otherwise cargo would build
# everything twice, and replace the binary by one that lacks the demo.
step "build of the binaries (some minutes the first time)"
with_count cargo build --locked --workspace --bins --features forgewire/demo
# Every fault is told, not the first one alone.
[ $# -gt 0 ] || set -- --workspace --no-fail-fast
step "tests: cargo test $*"
cargo test --locked --features forgewire/demo "$@"
finish_step
