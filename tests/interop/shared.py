"""Shared by the Python clients: the expectations of every client about the server, and the walk
that checks them.

A client provides an adapter of its SDK (see `Sdk`); `main` walks it through each requested revision
and prints a line of JSON per revision: {"ok": true, ...}, or {"ok": false, "error": ...}.
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
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import anyio

HERE = Path(__file__).parent
# A single list for all clients, in all languages.
#   prompts      [{"name", "arguments", "text"}]: it is listed, and its messages contain `text`
#   elicitation  {"name", "arguments", "answer", "text"}: a tool that asks; the client accepts
#                with `answer`, and the result contains `text`. Revisions before 2025-06-18 have none.
EXPECTATIONS = json.loads((HERE / "expectations.json").read_text())
ISSUE_URI = EXPECTATIONS["issueUri"]
MODERN = "2026-07-28"
FIRST_WITH_ELICITATION = "2025-06-18"
NOTIFICATION_DEADLINE_SECONDS = 10
# For one revision: a server that accepts and then stays silent must not hang the test run.
RUN_DEADLINE_SECONDS = 45
REQUEST_TIMEOUT_SECONDS = 10


class Wrong(Exception):
    """The server does not meet an expectation."""


class Expected:
    """The notifications that must arrive; remembers which of them have."""

    def __init__(self, revision: str) -> None:
        self.delivery = str(uuid.uuid4())
        # The stateless era has notifications of resources only.
        names = ["resources/updated"] if revision == MODERN else ["resources/updated", "event"]
        self._seen = {name: anyio.Event() for name in names}

    def updated(self, uri: str) -> None:
        """Takes the URI of `notifications/resources/updated`."""
        if uri == ISSUE_URI:
            self._seen["resources/updated"].set()

    def logged(self, logger: str | None, data: Any) -> None:
        """Takes `notifications/message`; expected is the resource event of this delivery."""
        if logger == EXPECTATIONS["eventLogger"] and isinstance(data, dict):
            if data.get("metadata", {}).get("delivery") == self.delivery and "event" in self._seen:
                self._seen["event"].set()

    async def wait(self) -> None:
        with anyio.move_on_after(NOTIFICATION_DEADLINE_SECONDS):
            for seen in self._seen.values():
                await seen.wait()
        if missing := [name for name, seen in self._seen.items() if not seen.is_set()]:
            raise Wrong(f"never arrived: {missing}")


class Sdk(Protocol):
    """A connected client, with the calls that the walk makes."""

    protocol: str

    async def tools(self) -> list[str]: ...
    async def call(self, name: str, arguments: dict, on_progress=None) -> str: ...
    async def resources(self) -> list[str]: ...
    async def read(self, uri: str) -> str: ...
    async def prompts(self) -> list[str]: ...
    async def prompt(self, name: str, arguments: dict) -> str: ...
    def subscribed(self, uri: str) -> AbstractAsyncContextManager[None]: ...


Connect = Callable[[argparse.Namespace, str, Expected], AbstractAsyncContextManager[Sdk]]


def asks(revision: str) -> dict | None:
    """The expectation about a tool that asks the user, if any, and if the revision supports it."""
    return EXPECTATIONS["elicitation"] if revision >= FIRST_WITH_ELICITATION else None


def signed_delivery(secret: str, delivery: str) -> tuple[bytes, dict[str, str]]:
    """The webhook that GitHub would send for an issue whose new title is the delivery's id."""
    payload = json.loads((HERE / "issue.json").read_text())
    payload["issue"]["title"] = delivery
    now = datetime.now(timezone.utc)
    payload["issue"]["updated_at"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = json.dumps(payload).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/interop",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


def post_webhook(url: str, secret: str, delivery: str) -> None:
    body, headers = signed_delivery(secret, delivery)
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as response:
        response.read()


def contains(what: str, text: str, part: str) -> None:
    if part not in text:
        raise Wrong(f"{what}: {part!r} is not in {text[:500]!r}")


def lists(what: str, listed: list[str], wanted: list[str]) -> None:
    if absent := sorted(set(wanted) - set(listed)):
        raise Wrong(f"{what} lacks {absent}; it has {listed}")


async def walk(sdk: Sdk, revision: str, expected: Expected, options, report: dict) -> None:
    """Uses the server as an application would. Every client does exactly this."""
    report["protocol"] = sdk.protocol
    if sdk.protocol != revision:
        raise Wrong(f"asked for {revision} and got {sdk.protocol}")

    report["step"] = "tools"
    lists("tools/list", await sdk.tools(), EXPECTATIONS["tools"])
    contains("tools/call", await sdk.call(**EXPECTATIONS["call"]), "")

    report["step"] = "resources"
    lists("resources/list", await sdk.resources(), EXPECTATIONS["resources"])
    for uri in EXPECTATIONS["resources"]:
        contains(f"resources/read {uri}", await sdk.read(uri), "{")

    report["step"] = "prompts"
    if prompts := EXPECTATIONS["prompts"]:
        lists("prompts/list", await sdk.prompts(), [prompt["name"] for prompt in prompts])
    for prompt in EXPECTATIONS["prompts"]:
        text = await sdk.prompt(prompt["name"], prompt["arguments"])
        contains(f"prompts/get {prompt['name']}", text, prompt["text"])

    report["step"] = "elicitation"
    if question := asks(revision):
        text = await sdk.call(question["name"], question["arguments"])
        contains(f"the result of {question['name']}", text, question["text"])

    report["step"] = "subscribe"
    async with sdk.subscribed(ISSUE_URI):
        report["step"] = "webhook"
        posted = time.monotonic()
        await anyio.to_thread.run_sync(
            post_webhook, options.webhook_url, options.secret, expected.delivery
        )
        report["step"] = "notifications"
        await expected.wait()
        report["waited_ms"] = round((time.monotonic() - posted) * 1000, 1)
    # After the notification of a change, the change can be read from any edge.
    contains(f"resources/read {ISSUE_URI}", await sdk.read(ISSUE_URI), expected.delivery)


async def wait(sdk: Sdk, expected: Expected, options, report: dict) -> None:
    """Waits for an event that happens late, as an agent that has nothing else to do."""
    report["step"] = "wait"
    told: list[str] = []

    async def on_progress(_progress: float, _total: float | None, message: str | None) -> None:
        told.append(message or "")

    async def happens_late() -> None:
        await anyio.sleep(options.wait_seconds)
        await anyio.to_thread.run_sync(
            post_webhook, options.webhook_url, options.secret, expected.delivery
        )

    # Others wait for events of their own.
    arguments = {"maxWaitSeconds": options.wait_seconds * 2}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(happens_late)
        await until_told(sdk, arguments, on_progress, expected.delivery)
    least = options.wait_seconds // 30
    if len(told) < least or any("cursor" not in message for message in told):
        raise Wrong(f"{len(told)} messages of progress, at least {least} were expected: {told}")


async def until_told(sdk: Sdk, arguments: dict, on_progress, delivery: str) -> None:
    """Waits again after the cursor of an answer that has other events only."""
    while True:
        answer = json.loads(await sdk.call("wait_for_events", arguments, on_progress))
        if delivery in json.dumps(answer["events"]):
            return
        arguments = arguments | {"cursor": answer["cursor"]}


async def bounded(connect: Connect, options, revision: str, report: dict) -> None:
    with anyio.fail_after(RUN_DEADLINE_SECONDS + options.wait_seconds):
        expected = Expected(revision)
        async with connect(options, revision, expected) as sdk:
            if options.wait_seconds:
                await wait(sdk, expected, options, report)
            else:
                await walk(sdk, revision, expected, options, report)


def causes(error: BaseException) -> list[str]:
    """The error itself, without the task groups that it passed through."""
    inner = getattr(error, "exceptions", None)
    if inner is None:
        return ["".join(traceback.format_exception_only(error)).strip()]
    return [cause for each in inner for cause in causes(each)]


def main(sdk: str, connect: Connect) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", required=True, help="the balancer, without a path")
    parser.add_argument("--webhook-url", required=True)
    parser.add_argument("--secret", required=True, help="the webhook secret")
    parser.add_argument("--transport", default="http", choices=["http", "sse"])
    parser.add_argument(
        "--wait-seconds",
        type=int,
        default=0,
        help="only wait for an event, which happens after this time, with the SDK's own timeouts",
    )
    parser.add_argument("--revision", required=True, action="append", help="may be repeated")
    options = parser.parse_args()
    failed = 0
    for revision in options.revision:
        report = {"ok": False, "sdk": sdk, "revision": revision, "step": "connect"}
        try:
            anyio.run(bounded, connect, options, revision, report)
            report["ok"] = True
        except BaseException as error:  # the report is the result, whatever went wrong
            report["error"] = "; ".join(causes(error))
            traceback.print_exc()
            failed = 1
        print(json.dumps(report), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit("a client calls this: python_sdk1.py or python_sdk2.py")
