#!/usr/bin/env bash
# `make demo`: builds the binary with what the demo needs, and shows the whole path in one process.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "set-up"
deploy/setup.sh build
# Embedded, so without the adapters of a cluster, and in a profile that is quick to build.
step "build for the demo (some minutes the first time)"
with_count cargo build --profile demo --locked -p forgewire --no-default-features --features demo
finish_step
# Replaces this shell, so that Ctrl-C reaches the demo and its exit code is ours.
exec "${CARGO_TARGET_DIR:-target}/demo/forgewire" demo "$@"
