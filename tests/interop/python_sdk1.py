"""Uses Forgewire through the official Python SDK of MCP, 1.x: every handshake revision over
Streamable HTTP, and with `--transport sse` the original 2024-11-05, over HTTP+SSE."""

from __future__ import annotations

import sys
import warnings
from contextlib import asynccontextmanager
from datetime import timedelta

import mcp.types as types
from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

import shared
from shared import REQUEST_TIMEOUT_SECONDS


class Sdk1:
    def __init__(self, session: ClientSession, protocol: str) -> None:
        self._session = session
        self.protocol = protocol

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._session.list_tools()).tools]

    async def call(self, name: str, arguments: dict, on_progress=None) -> str:
        result = await self._session.call_tool(
            name, arguments, progress_callback=on_progress
        )
        if result.isError or not result.content:
            raise shared.Wrong(f"{name}: {result.content}")
        return result.content[0].text

    async def resources(self) -> list[str]:
        return [str(one.uri) for one in (await self._session.list_resources()).resources]

    async def read(self, uri: str) -> str:
        return (await self._session.read_resource(uri)).contents[0].text

    async def prompts(self) -> list[str]:
        return [prompt.name for prompt in (await self._session.list_prompts()).prompts]

    async def prompt(self, name: str, arguments: dict) -> str:
        messages = (await self._session.get_prompt(name, arguments)).messages
        return " ".join(getattr(message.content, "text", "") for message in messages)

    @asynccontextmanager
    async def subscribed(self, uri: str):
        await self._session.subscribe_resource(uri)
        await self.call("subscribe_to_events", {})
        yield


@asynccontextmanager
async def connect(options, revision: str, expected: shared.Expected):
    # An SDK of that time requests its own revision; this one always requests its newest.
    types.LATEST_PROTOCOL_VERSION = revision

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        expected.logged(params.logger, params.data)

    async def on_message(message: object) -> None:
        root = getattr(message, "root", None)
        if isinstance(root, types.ResourceUpdatedNotification):
            expected.updated(str(root.params.uri))

    async def answer(_context, _params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content=shared.asks(revision)["answer"])

    if options.transport == "sse":
        transport = sse_client(f"{options.edge}/sse", timeout=REQUEST_TIMEOUT_SECONDS)
    else:
        transport = streamable_http_client(f"{options.edge}/mcp")
    async with transport as (read, write, *_):
        async with ClientSession(
            read,
            write,
            read_timeout_seconds=None
            if options.wait_seconds
            else timedelta(seconds=REQUEST_TIMEOUT_SECONDS),
            logging_callback=on_log,
            message_handler=on_message,
            elicitation_callback=answer if shared.asks(revision) else None,
            client_info=types.Implementation(name="forgewire-interop-python", version="1"),
        ) as session:
            initialized = await session.initialize()
            yield Sdk1(session, initialized.protocolVersion)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    sys.exit(shared.main("python 1.x", connect))
