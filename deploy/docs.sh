#!/usr/bin/env bash
# `make docs`: writes docs/configuration.md from the schema of the configuration. A unit test of forgewire
# fails while the file differs.
set -euo pipefail
cd "$(dirname "$0")/.."

# With the workspace and the features of `make test`, so that nothing is compiled twice.
cargo build --locked --quiet --workspace --bin forgewire --features forgewire/demo
page=$("${CARGO_TARGET_DIR:-target}/debug/forgewire" config schema --markdown)
printf '%s\n' "$page" >docs/configuration.md
