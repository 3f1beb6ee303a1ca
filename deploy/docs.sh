#!/usr/bin/env bash
# `make docs`: writes docs/configuration.md from the schema of the configuration, docs/metrics.md from the metrics and
# spans of the code, and docs/failure-modes.md from tests/failure-modes.toml. Tests fail while a file differs.
set -euo pipefail
cd "$(dirname "$0")/.."

# With the workspace and the features of `make test`, so that nothing is compiled twice.
cargo build --locked --quiet --workspace --bin forgewire --bin failure-modes --features forgewire/demo
binaries=${CARGO_TARGET_DIR:-target}/debug
page=$("$binaries/forgewire" config schema --markdown)
printf '%s\n' "$page" >docs/configuration.md
page=$("$binaries/forgewire" metrics)
printf '%s\n' "$page" >docs/metrics.md
page=$("$binaries/failure-modes")
printf '%s\n' "$page" >docs/failure-modes.md
