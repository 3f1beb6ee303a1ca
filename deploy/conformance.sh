#!/usr/bin/env bash
# `make conformance`: runs the official MCP conformance suite against forgewire-conformance, which is the
# product with the suite's fixtures as one more toolset. Arguments: `--suite 2026`, `--topology cluster`.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "set-up"
deploy/setup.sh test
# With the features of `make test`, so that nothing is built twice.
step "build of the binaries (some minutes the first time)"
cargo build --locked --workspace --bins --features forgewire/demo
step "official conformance suite"
bin=${CARGO_TARGET_DIR:-target}/debug
FORGEWIRE_BIN=$(realpath "$bin/forgewire-conformance") "$bin/conformance" "$@"
finish_step
