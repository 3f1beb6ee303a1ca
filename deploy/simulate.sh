#!/usr/bin/env bash
# `make simulate`: seeded histories of the delivery path. SIMULATION_HISTORIES (default 100,000) is their
# number, SIMULATION_FIRST_SEED (default 1) the seed of the first; SIMULATION_SEED runs one alone. Needs a
# build of its own, because without optimisation a history takes eight times as long.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

export SIMULATION_HISTORIES=${SIMULATION_HISTORIES:-100000} SIMULATION_FIRST_SEED=${SIMULATION_FIRST_SEED:-1}
selection=(--locked --profile simulation -p simulation)

step "build of the simulation"
cargo test "${selection[@]}" --no-run
step "histories: ${SIMULATION_SEED:-$SIMULATION_HISTORIES from seed $SIMULATION_FIRST_SEED on}"
cargo test "${selection[@]}" -- --nocapture
finish_step
