#!/bin/sh
# The monitor: a line for each GitHub event of the repository in which the session runs.
#
# FORGEWIRE_URL     the edge; default http://127.0.0.1:3000
# FORGEWIRE_FILTER  other events, as for `forgewire watch --filter`
# FORGEWIRE_TOKEN   the token, where the edge has any
#
# Settings of the plugin do not reach monitors, so these are variables: `env` in .claude/settings.json sets them.
set -u

url="${FORGEWIRE_URL:-http://127.0.0.1:3000}"
filter="${FORGEWIRE_FILTER:-}"
if [ -z "$filter" ]; then
  # The name alone: an address may have a token in it, and arguments are seen by everybody on the machine. Only
  # github.com, whose events an edge has; a wiki's events are those of its repository.
  repository="$(git remote get-url origin 2>/dev/null | sed -n -E \
    -e 's#/+$##' -e 's#\.git$##' -e 's#\.wiki$##' \
    -e 's#^[a-z+]+://([^/]*@)?(www\.|ssh\.)?github\.com(:[0-9]+)?/+([^/]+/[^/]+)$#\4#p' \
    -e 's#^([^/@:]*@)?(www\.|ssh\.)?github\.com:/*([^/]+/[^/]+)$#\3#p')"
  if [ -z "$repository" ]; then
    # Not on stdout: every session elsewhere would begin with it.
    echo "nothing to watch: no remote on github.com here; FORGEWIRE_FILTER names other events" >&2
    exit 0
  fi
  filter="repo=$repository"
fi

child=""
is_interrupted=""
trap 'is_interrupted=1; test -z "$child" || kill "$child" 2>/dev/null' TERM INT HUP
watch() {
  forgewire watch --url "$url" --filter "$filter" --lines-per-minute 20 "$@" &
  child=$!
  wait "$child"
  status=$?
  # A signal ends the wait, not the process that is waited for. 127: that one had been waited for to its end.
  while [ -n "$is_interrupted" ]; do
    is_interrupted=""
    wait "$child"
    again=$?
    [ "$again" -eq 127 ] || status=$again
  done
  child=""
}

watch
if [ "$status" -eq 5 ]; then
  # Another session watches here and has the kept position: this one begins with the next event.
  folder="$(mktemp -d)" || exit 1
  watch --state-dir "$folder"
  rm -rf "$folder"
fi
# The model should know that nothing more comes, and why: details are in the output of the task.
case "$status" in
  0) ;;
  2) echo "[forgewire] not watching: the filter or the URL is refused; see FORGEWIRE_FILTER and FORGEWIRE_URL" ;;
  3) echo "[forgewire] not watching: the edge refuses the token; see FORGEWIRE_TOKEN" ;;
  4) echo "[forgewire] not watching: no edge answers at FORGEWIRE_URL, or not under this name" ;;
  127) echo "[forgewire] not watching: the program forgewire is not in PATH" ;;
  *) echo "[forgewire] not watching: forgewire watch ended with exit code $status" ;;
esac
exit "$status"
