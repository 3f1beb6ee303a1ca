#!/usr/bin/env bash
# `make check`: what a change has to pass before anybody waits for more: format, clippy, unit tests, and
# the contract of the ports on memory and SQLite. It needs no servers, and under three minutes when the
# build is there. `make test` is the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

# The workspace and the features of `make test`, so that nothing is compiled twice.
selection=(--locked --workspace --features forgewire/demo)

step "format"
cargo fmt --all --check
step "clippy"
with_count cargo clippy "${selection[@]}" --all-targets -- -D warnings
contract=(--exclude nats --exclude store-redis --test contract)
step "build of the tests"
with_count cargo test --no-run "${selection[@]}" --lib --bins
with_count cargo test --no-run "${selection[@]}" "${contract[@]}"
step "unit tests"
cargo test "${selection[@]}" --lib --bins --quiet
step "contract of the ports, on memory and SQLite"
cargo test "${selection[@]}" "${contract[@]}" --quiet
finish_step
