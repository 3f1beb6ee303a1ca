#!/usr/bin/env bash
# `make test`: everything that the tests need, then all of them. Arguments go to `cargo test`
# (default: --workspace), for instance `deploy/test.sh --workspace --test interop`.
# `deploy/test.sh --crate NAME` (`make test CRATE=NAME`) runs the tests of one crate.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

if [ "${1:-}" = --crate ]; then
    crate=${2:?"the name of a crate is missing"}
    shift 2
    # The scenarios start the binary, so they are built with it; every other crate is built alone.
    if [ "$crate" = tests ]; then
        set -- -p tests -p forgewire "$@"
    else
        step "set-up"
        deploy/setup.sh test
        step "tests: $crate"
        [ "$crate" != forgewire ] || set -- --features demo "$@"
        with_count cargo test --no-run --locked -p "$crate" "$@"
        cargo test --locked -p "$crate" "$@"
        finish_step
        exit
    fi
fi

step "set-up"
deploy/setup.sh test
# The scenarios start real processes. The same features as below: otherwise cargo would build
# everything twice, and replace the binary by one that lacks the demo.
step "build of the binaries (some minutes the first time)"
with_count cargo build --locked --workspace --bins --features forgewire/demo
if [ $# -gt 0 ]; then
    step "tests: cargo test $*"
    cargo test --locked --features forgewire/demo "$@"
    finish_step
    exit
fi

step "build of the tests (some minutes the first time)"
with_count cargo test --no-run --locked --workspace --features forgewire/demo

# Two groups at a time, because tests wait more than they compute: whole systems beside all others, and those that load
# the machine at the end. The names are asked for, so that no new test is left out.
whole_systems=(--test scenarios)
under_load=(--test abuse --test rollout --test soak)
all_tests=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
targets = [target for package in packages for target in package["targets"]]
# One that needs another feature has a build of its own: deploy/model.sh.
tests = [target for target in targets if "test" in target["kind"] and not target.get("required-features")]
print(*sorted({target["name"] for target in tests}))')

# run_group NAME TARGET…: every line begins with the name. Every fault is told, not the first one alone.
run_group() {
    local name=$1
    shift
    # Not a pipe, whose end a process that a test has left behind would keep open.
    cargo test --locked --workspace --features forgewire/demo --no-fail-fast "$@" > >(
        while IFS= read -r line; do printf '[%s] %s\n' "$name" "$line"; done
    ) 2>&1
}

others=(--lib --bins --examples)
for name in $all_tests; do
    [[ " ${whole_systems[*]} ${under_load[*]} " == *" $name "* ]] || others+=(--test "$name")
done

step "tests: cargo test --workspace, two groups at a time"
failed=0
run_group systems "${whole_systems[@]}" &
systems=$!
run_group others "${others[@]}" || failed=1
run_group documents --doc || failed=1
wait "$systems" || failed=1
step "tests under load"
run_group load "${under_load[@]}" || failed=1
[ "$failed" = 0 ] || fail "tests failed: see above"
finish_step
