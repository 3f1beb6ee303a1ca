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

# with_count COMMAND…: runs a cargo command and shows how many crates of how many are built. On a
# terminal cargo draws that itself; elsewhere its bar becomes a line every few seconds, in place of a
# line per crate.
with_count() {
    if [ -t 2 ]; then
        "$@"
    else
        {
            CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=120 CARGO_TERM_COLOR=never \
                "$@" 2>&1 >&3 | count_crates
        } 3>&1
    fi
}

count_crates() {
    local chunk line count='' said=-5
    # The bar is redrawn after a carriage return; a message is a line of its own between two bars.
    while IFS= read -r -d $'\r' chunk || [ -n "$chunk" ]; do
        while IFS= read -r line; do
            case $line in
            *'] '[0-9]*/[0-9]*)
                line=${line#*'] '}
                line=${line%%[!0-9/]*}
                if [ "$line" != "$count" ] && ((SECONDS - said >= 5)); then
                    count=$line
                    said=$SECONDS
                    say "$count crates"
                fi
                ;;
            *' Compiling '* | *' Checking '* | *' Downloaded '* | *' Adding '* | *' Fetch ['* | *' Downloading '* | '') ;;
            *) printf '%s\n' "$line" ;;
            esac
        done <<<"$chunk"
        chunk=''
    done >&2
}
