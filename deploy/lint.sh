#!/usr/bin/env bash
# `make lint`: format, clippy with warnings denied, and the shell scripts where shellcheck is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "format"
cargo fmt --all --check
step "clippy"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
step "clippy: the binary as it is shipped, without the demo"
cargo clippy -p forgewire --locked -- -D warnings
step "clippy: the binary as the demo has it, without the adapters of a cluster"
cargo clippy -p forgewire --no-default-features --features demo --locked -- -D warnings
if command -v shellcheck >/dev/null; then
    step "shellcheck"
    shellcheck -x deploy/*.sh tests/interop/*.sh .ci/run
fi
finish_step
