"""Uses Forgewire through the official Python SDK of MCP, 2.x: the stateless era, and every
handshake revision."""

from __future__ import annotations

import sys
import warnings
from contextlib import asynccontextmanager

import anyio
import mcp.client.session
import mcp_types as types
from mcp import Client, MCPDeprecationWarning

import shared


class Sdk2:
    def __init__(self, client: Client, expected: shared.Expected) -> None:
        self._client = client
        self._expected = expected
        self.protocol = client.protocol_version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, name: str, arguments: dict, on_progress=None) -> str:
        result = await self._client.call_tool(name, arguments, progress_callback=on_progress)
        if result.is_error or not result.content:
            raise shared.Wrong(f"{name}: {result.content}")
        return result.content[0].text

    async def resources(self) -> list[str]:
        return [str(one.uri) for one in (await self._client.list_resources()).resources]

    async def read(self, uri: str) -> str:
        return (await self._client.read_resource(uri)).contents[0].text

    async def prompts(self) -> list[str]:
        return [prompt.name for prompt in (await self._client.list_prompts()).prompts]

    async def prompt(self, name: str, arguments: dict) -> str:
        messages = (await self._client.get_prompt(name, arguments)).messages
        return " ".join(getattr(message.content, "text", "") for message in messages)

    @asynccontextmanager
    async def subscribed(self, uri: str):
        """Subscribes by the mechanism of the era, for as long as the block runs."""
        if self.protocol != shared.MODERN:
            await self._client.subscribe_resource(uri)
            await self.call("subscribe_to_events", {})
            yield
            return
        async with self._client.listen(resource_subscriptions=[uri]) as stream:
            if stream.honored.resource_subscriptions != [uri]:
                raise shared.Wrong(f"the server honours only {stream.honored}")

            async def follow() -> None:
                async for event in stream:
                    self._expected.updated(getattr(event, "uri", ""))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                yield
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def connect(options, revision: str, expected: shared.Expected):
    if revision != shared.MODERN:
        # An SDK of that time requests its own revision; this one always requests the newest of the
        # era.
        mcp.client.session.LATEST_HANDSHAKE_VERSION = revision

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        expected.logged(params.logger, params.data)

    async def on_message(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification) and revision != shared.MODERN:
            expected.updated(str(message.params.uri))

    async def answer(_context, _params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content=shared.asks(revision)["answer"])

    async with Client(
        f"{options.edge}/mcp",
        mode=revision if revision == shared.MODERN else "legacy",
        read_timeout_seconds=None if options.wait_seconds else shared.REQUEST_TIMEOUT_SECONDS,
        logging_callback=on_log,
        message_handler=on_message,
        elicitation_callback=answer if shared.asks(revision) else None,
        client_info=types.Implementation(name="forgewire-interop-python", version="2"),
    ) as client:
        yield Sdk2(client, expected)


if __name__ == "__main__":
    # Much is deprecated by the newest revision, which is not the one in use here.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    sys.exit(shared.main("python 2.x", connect))
