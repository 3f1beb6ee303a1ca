# shellcheck shell=bash
# Sourced by the other scripts: `step` prints the step that begins, the seconds since the start, and
# the duration of the step before. Each line begins with the name of the script, since one script calls
# another.
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
