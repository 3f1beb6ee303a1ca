#!/usr/bin/env bash
# Uses Forgewire with curl alone: both eras of MCP, and the plain event stream. Takes the same
# arguments and prints the same line of JSON as the other clients in this folder.
set -euo pipefail
cd "$(dirname "$0")"

while (($# > 1)); do
    case $1 in
    --edge) edge=$2 ;;
    --webhook-url) webhook_url=$2 ;;
    --secret) secret=$2 ;;
    --revision) revision=$2 ;;
    *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift 2
done

issue_uri=github://issues/octo/hello/1
seconds=10 # for one request, and for each expected arrival
work=$(mktemp -d)
stream=''
delivery=$(cat /proc/sys/kernel/random/uuid)

finish() {
    local status=$?
    [ -z "$stream" ] || kill "$stream" 2>/dev/null || true
    ((status == 0)) || tail -n 20 "$work"/* >&2 || true
    rm -rf "$work"
    printf '{"ok": %s, "sdk": "curl", "revision": "%s"}\n' \
        "$( ((status == 0)) && echo true || echo false)" "$revision"
}
trap finish EXIT

json=(-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream')
quiet=(curl --silent --show-error --fail-with-body --max-time "$seconds")

# wait_for TEXT [FILE]: waits until the stream in the background has delivered it.
wait_for() {
    local deadline=$((SECONDS + seconds))
    until grep -qF -- "$1" "$work/${2:-stream}"; do
        if ((SECONDS > deadline)); then
            echo "never arrived: $1" >&2
            return 1
        fi
        sleep 0.05
    done
}

# follow ARGUMENTS...: reads a stream in the background into a file. Returns once it is open.
follow() {
    : >"$work/opened"
    curl --silent --show-error --no-buffer -D "$work/opened" "$@" \
        >"$work/stream" 2>"$work/stream.err" &
    stream=$!
    wait_for ' 200 ' opened
}

post_webhook() {
    local body=$work/body.json signature
    sed -e "s/\"title\": \"[^\"]*\"/\"title\": \"$delivery\"/" \
        -e "s/\"updated_at\": \"[^\"]*\"/\"updated_at\": \"$(date -u +%FT%TZ)\"/" issue.json >"$body"
    signature=$(openssl dgst -sha256 -hmac "$secret" -r <"$body" | cut -d' ' -f1)
    "${quiet[@]}" "$webhook_url" --data-binary "@$body" -H 'Content-Type: application/json' \
        -H 'User-Agent: GitHub-Hookshot/interop' -H 'X-GitHub-Event: issues' \
        -H "X-GitHub-Delivery: $delivery" -H "X-Hub-Signature-256: sha256=$signature" \
        >"$work/webhook"
}

# Through `GET /events/stream`, without MCP.
events() {
    follow "$edge/events/stream"
    wait_for 'event: connected'
    post_webhook
    wait_for "$delivery"
}

# modern_headers METHOD, modern_body METHOD PARAMS: a request of the stateless era.
modern_headers() { printf -- '-H\nMCP-Protocol-Version: %s\n-H\nMcp-Method: %s\n' "$revision" "$1"; }
modern_body() {
    local meta="\"io.modelcontextprotocol/protocolVersion\": \"$revision\""
    meta="{$meta, \"io.modelcontextprotocol/clientCapabilities\": {}}"
    printf '{"jsonrpc": "2.0", "id": 1, "method": "%s", "params": {"_meta": %s%s}}' "$1" "$meta" "$2"
}

stateless() {
    local headers
    mapfile -t headers < <(modern_headers tools/list)
    "${quiet[@]}" "$edge/mcp" "${json[@]}" "${headers[@]}" -d "$(modern_body tools/list '')" \
        >"$work/tools"
    grep -qF get_recent_events "$work/tools"
    mapfile -t headers < <(modern_headers subscriptions/listen)
    follow "$edge/mcp" "${json[@]}" "${headers[@]}" -d "$(modern_body subscriptions/listen \
        ", \"notifications\": {\"resourceSubscriptions\": [\"$issue_uri\"]}")"
    wait_for notifications/subscriptions/acknowledged
    post_webhook
    wait_for notifications/resources/updated
    mapfile -t headers < <(modern_headers resources/read)
    "${quiet[@]}" "$edge/mcp" "${json[@]}" "${headers[@]}" -H "Mcp-Name: $issue_uri" \
        -d "$(modern_body resources/read ", \"uri\": \"$issue_uri\"")" >"$work/issue"
    grep -qF "$delivery" "$work/issue"
}

# call METHOD PARAMS: a request of the handshake era, in the session.
call() {
    "${quiet[@]}" "$edge/mcp" "${json[@]}" "${session[@]}" \
        -d "{\"jsonrpc\": \"2.0\", \"id\": 2, \"method\": \"$1\", \"params\": $2}"
}

handshake() {
    local id
    "${quiet[@]}" "$edge/mcp" "${json[@]}" -D "$work/headers" -d "{\"jsonrpc\": \"2.0\", \"id\": 1,
        \"method\": \"initialize\", \"params\": {\"protocolVersion\": \"$revision\",
        \"capabilities\": {}, \"clientInfo\": {\"name\": \"curl\", \"version\": \"1\"}}}" \
        >"$work/initialize"
    grep -qF "\"$revision\"" "$work/initialize"
    id=$(tr -d '\r' <"$work/headers" | sed -n 's/^mcp-session-id: //Ip')
    session=(-H "Mcp-Session-Id: $id" -H "MCP-Protocol-Version: $revision")
    "${quiet[@]}" "$edge/mcp" "${json[@]}" "${session[@]}" \
        -d '{"jsonrpc": "2.0", "method": "notifications/initialized"}' >"$work/initialized"
    call tools/list '{}' >"$work/tools"
    grep -qF get_recent_events "$work/tools"
    call resources/subscribe "{\"uri\": \"$issue_uri\"}" >"$work/subscribe"
    follow "$edge/mcp" -H 'Accept: text/event-stream' "${session[@]}"
    post_webhook
    wait_for notifications/resources/updated
    call resources/read "{\"uri\": \"$issue_uri\"}" >"$work/issue"
    grep -qF "$delivery" "$work/issue"
    "${quiet[@]}" -X DELETE "$edge/mcp" "${session[@]}" >"$work/end"
}

case $revision in
events) events ;;
2026-07-28) stateless ;;
*) handshake ;;
esac
