#!/usr/bin/env bash
# `make test`: everything that the tests need, then all of them. Arguments go to `cargo test`
# (default: --workspace), for instance `deploy/test.sh --workspace --test interop`.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "set-up"
deploy/setup.sh test
# The scenarios start real processes. The same features as below: otherwise cargo would build
# everything twice, and replace the binary by one that lacks the demo.
step "build of the binaries (some minutes the first time)"
cargo build --locked --workspace --bins --features forgewire/demo
[ $# -gt 0 ] || set -- --workspace
step "tests: cargo test $*"
cargo test --locked --features forgewire/demo "$@"
finish_step
