#!/usr/bin/env bash
# `make demo`: builds the release binary and shows the whole path in one process.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "set-up"
deploy/setup.sh build
step "release build (some minutes the first time)"
cargo build --release --locked -p forgewire --features demo
finish_step
# Replaces this shell, so that Ctrl-C reaches the demo and its exit code is ours.
exec "${CARGO_TARGET_DIR:-target}/release/forgewire" demo "$@"
