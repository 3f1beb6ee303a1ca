#!/usr/bin/env bash
# `make conformance`: builds forgewire with the fixtures of the official MCP conformance suite, next
# to the real binary, and runs the suite against it. Arguments: `--suite 2026`, `--topology cluster`.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

step "set-up"
deploy/setup.sh test
# With the workspace and the features of `make test`, so that only crates with fixtures are built again.
step "build of the binaries (some minutes the first time)"
cargo build --locked --workspace --bins --features forgewire/demo
cargo build --locked --workspace --bin forgewire-conformance \
    --features forgewire/demo,forgewire/conformance
# Features that no tool of the product uses can be tested only with the fixtures.
step "own tests of the fixtures"
cargo test --locked --workspace --features forgewire/demo,forgewire/conformance --test it \
    -- rounds:: a_changed_list a_user_is_sent_to_a_page
step "official conformance suite"
bin=${CARGO_TARGET_DIR:-target}/debug
FORGEWIRE_BIN=$(realpath "$bin/forgewire-conformance") "$bin/conformance" "$@"
finish_step
