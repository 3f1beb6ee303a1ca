# shellcheck shell=bash
# Sourced by our scripts: `step` says what runs now, how long it is since the start, and how long the
# step before took. The name of the script comes first, since one calls another.
progress_of=$(basename "$0" .sh)
progress_step=''
progress_since=0

say() { printf '[%s %4ds] %s\n' "$progress_of" "$SECONDS" "$*"; }

finish_step() {
    [ -z "$progress_step" ] || say "done: $progress_step ($((SECONDS - progress_since))s)"
    progress_step=''
}

step() {
    finish_step
    progress_step=$*
    progress_since=$SECONDS
    say "$*"
}

fail() {
    say "$*" >&2
    exit 1
}
