#!/usr/bin/env bash
# `make model`: the hand-over between publishers, ring and reactors under thousands of interleavings, each
# test for MODEL_SECONDS (default 3), two or more at a time. A failing test prints a schedule or a seed to
# replay it with. Needs another build of stream-driver and fanout, with different locks (feature
# `shuttle`).
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

# One selection for both, so that no crate is compiled twice.
selection=(--locked -p stream-driver -p fanout --features fanout/shuttle)

step "build of the model"
cargo test "${selection[@]}" --lib --test handover_model --no-run
step "reactors: notify, adopt, finish, drop"
cargo test "${selection[@]}" --test handover_model -- --nocapture
step "fan-out: publish, change, open, drain"
cargo test "${selection[@]}" --lib model:: -- --nocapture
finish_step
