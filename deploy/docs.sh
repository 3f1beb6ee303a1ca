#!/usr/bin/env bash
# `make docs`: writes docs/configuration.md from the schema of the configuration, docs/metrics.md from the metrics and
# spans of the code, docs/openapi.json and docs/openapi-ingest.json from the routes, docs/failure-modes.md from
# tests/failure-modes.toml, and docs/events.md from the families of webhooks. Tests fail while a file differs.
set -euo pipefail
cd "$(dirname "$0")/.."

# With the workspace and the features of `make test`, so that nothing is compiled twice.
cargo build --locked --quiet --workspace --bin forgewire --bin failure-modes --features forgewire/demo
binaries=${CARGO_TARGET_DIR:-target}/debug
page=$("$binaries/forgewire" config schema --markdown)
printf '%s\n' "$page" >docs/configuration.md
page=$("$binaries/forgewire" metrics)
printf '%s\n' "$page" >docs/metrics.md
for role in edge:openapi ingest:openapi-ingest; do
    page=$("$binaries/forgewire" openapi --role "${role%:*}")
    printf '%s\n' "$page" >"docs/${role#*:}.json"
done
page=$("$binaries/failure-modes")
printf '%s\n' "$page" >docs/failure-modes.md
# The test that fails while the page differs writes it.
FORGEWIRE_WRITE=1 cargo test --locked --quiet --workspace --features forgewire/demo --test catalogue -- the_page_of_events
