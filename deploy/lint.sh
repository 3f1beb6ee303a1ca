#!/usr/bin/env bash
# `make lint`: format, clippy with warnings denied, and the shell scripts where shellcheck is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "format"
cargo fmt --all --check
step "clippy"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
if command -v shellcheck >/dev/null; then
    step "shellcheck"
    shellcheck -x deploy/*.sh tests/interop/*.sh .ci/run
fi
finish_step
