"""Uses Forgewire through the official Python SDK of MCP, as an application would.

Connects, lists tools, calls one, lists resources, subscribes to one issue, posts a signed webhook
about that issue and waits for what the server promised to send. Prints one line of JSON:
{"ok": true, ...} and exit code 0, or {"ok": false, "missing": [...], ...} and exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import sys
import time
import traceback
import urllib.request
import uuid
import warnings
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import anyio
import mcp_types as types
from mcp import Client, MCPDeprecationWarning

ISSUE_URI = "github://issues/octo/hello/1"
EVENT_LOGGER = "github.events"
TOOLS = {"subscribe_to_events", "get_recent_events", "replay_events"}
MODES = {"handshake": "legacy", "modern": "2026-07-28"}
NOTIFICATION_DEADLINE_SECONDS = 10
# Everything together; a server that accepts and then says nothing must not hang the test run.
RUN_DEADLINE_SECONDS = 60
REQUEST_TIMEOUT_SECONDS = 10


class Expected:
    """The things that have to arrive; remembers which of them have."""

    def __init__(self, *names: str) -> None:
        self._seen = {name: anyio.Event() for name in names}

    def arrived(self, name: str) -> None:
        if name in self._seen:
            self._seen[name].set()

    def missing(self) -> list[str]:
        return [name for name, seen in self._seen.items() if not seen.is_set()]

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            for seen in self._seen.values():
                await seen.wait()


def signed_delivery(secret: str, delivery: str) -> tuple[bytes, dict[str, str]]:
    """The body and headers that GitHub would send for an edited issue."""
    payload = json.loads((Path(__file__).parent / "issue.json").read_text())
    payload["issue"]["updated_at"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = json.dumps(payload).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/interop",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


def post_webhook(url: str, secret: str, delivery: str) -> int:
    body, headers = signed_delivery(secret, delivery)
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as response:
        return response.status


def is_our_event(data: object, delivery: str) -> bool:
    """Whether `data` is the resource event that our delivery became."""
    return (
        isinstance(data, dict)
        and data.get("resourceType") == "issue"
        and data.get("metadata", {}).get("delivery") == delivery
    )


@asynccontextmanager
async def subscribed(client: Client, expected: Expected):
    """Subscribes in the way of the negotiated era for as long as the block runs."""
    if client.protocol_version < MODES["modern"]:
        with warnings.catch_warnings():
            # Deprecated by the newest revision, which is not the one spoken here.
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await client.subscribe_resource(ISSUE_URI)
        subscribed_to = await client.call_tool("subscribe_to_events", {})
        if subscribed_to.is_error:
            raise RuntimeError(f"subscribe_to_events: {subscribed_to.content}")
        yield
        return

    async with client.listen(resource_subscriptions=[ISSUE_URI]) as stream:
        if stream.honored.resource_subscriptions != [ISSUE_URI]:
            raise RuntimeError(f"the server honours only {stream.honored}")

        async def follow() -> None:
            async for event in stream:
                if getattr(event, "uri", None) == ISSUE_URI:
                    expected.arrived("resources/updated")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            yield
            tasks.cancel_scope.cancel()


async def run(arguments: argparse.Namespace, report: dict) -> None:
    delivery = str(uuid.uuid4())
    wanted = ["resources/updated"]
    if arguments.era == "handshake":
        wanted.append("event")
    expected = Expected(*wanted)

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        if params.logger == EVENT_LOGGER and is_our_event(params.data, delivery):
            expected.arrived("event")

    async def on_message(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification) and arguments.era == "handshake":
            if str(message.params.uri) == ISSUE_URI:
                expected.arrived("resources/updated")

    async with Client(
        arguments.url,
        mode=MODES[arguments.era],
        read_timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        logging_callback=on_log,
        message_handler=on_message,
        client_info=types.Implementation(name="forgewire-interop-python", version="1"),
    ) as client:
        report["protocol"] = client.protocol_version
        report["step"] = "tools/list"
        tools = {tool.name for tool in (await client.list_tools()).tools}
        report["tools"] = sorted(tools)
        if absent := sorted(TOOLS - tools):
            raise RuntimeError(f"tools/list lacks {absent}")

        report["step"] = "tools/call get_recent_events"
        recent = await client.call_tool("get_recent_events", {})
        if recent.is_error or not recent.content:
            raise RuntimeError(f"get_recent_events: {recent.content}")

        report["step"] = "resources/list"
        report["resources"] = len((await client.list_resources()).resources)

        report["step"] = "subscribe"
        async with subscribed(client, expected):
            report["step"] = "webhook"
            posted = time.monotonic()
            report["webhook_status"] = await anyio.to_thread.run_sync(
                post_webhook, arguments.webhook_url, arguments.secret, delivery
            )
            report["step"] = "notifications"
            await expected.wait(NOTIFICATION_DEADLINE_SECONDS)
            report["waited_ms"] = round((time.monotonic() - posted) * 1000, 1)
            report["missing"] = expected.missing()
            report["ok"] = not report["missing"]


def causes(error: BaseException) -> list[str]:
    """What went wrong, without the task groups that it passed through."""
    inner = getattr(error, "exceptions", None)
    if inner is None:
        return ["".join(traceback.format_exception_only(error)).strip()]
    return [cause for each in inner for cause in causes(each)]


async def bounded(arguments: argparse.Namespace, report: dict) -> None:
    with anyio.fail_after(RUN_DEADLINE_SECONDS):
        await run(arguments, report)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the MCP endpoint, through the balancer")
    parser.add_argument("--era", required=True, choices=sorted(MODES))
    parser.add_argument("--webhook-url", required=True)
    parser.add_argument("--secret", required=True, help="the webhook secret")
    arguments = parser.parse_args()
    report = {"ok": False, "sdk": "python", "era": arguments.era, "step": "connect"}
    try:
        anyio.run(bounded, arguments, report)
    except BaseException as error:  # the report is the result, whatever went wrong
        report["ok"] = False
        report["error"] = "; ".join(causes(error))
        traceback.print_exc()
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
