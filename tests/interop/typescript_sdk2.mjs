// Uses Forgewire through the official TypeScript client of MCP, 2.x: the stateless era, and every
// handshake revision.
import { MODERN, REQUEST_TIMEOUT_MS, adapter, asks, installed, main, textOf } from "./shared.mjs";

const { Client, StreamableHTTPClientTransport } = await installed("@modelcontextprotocol/client");

async function listen(client, uri) {
  const stream = await client.listen({ resourceSubscriptions: [uri] });
  const honoured = stream.honoredFilter.resourceSubscriptions ?? [];
  if (honoured.length !== 1 || honoured[0] !== uri) {
    throw new Error(`the server honours only ${JSON.stringify(stream.honoredFilter)}`);
  }
  return () => stream.close();
}

await main("typescript 2.x", async (options, revision, expected) => {
  const modern = revision === MODERN;
  const client = new Client(
    { name: "forgewire-interop-typescript", version: "2" },
    {
      capabilities: asks(revision) ? { elicitation: {} } : {},
      versionNegotiation: { mode: modern ? { pin: revision } : "legacy" },
      supportedProtocolVersions: [revision],
    },
  );
  client.setNotificationHandler("notifications/resources/updated", ({ params }) =>
    expected.updated(params.uri),
  );
  client.setNotificationHandler("notifications/message", ({ params }) =>
    expected.logged(params.logger, params.data),
  );
  if (asks(revision)) {
    client.setRequestHandler("elicitation/create", () => ({
      action: "accept",
      content: asks(revision).answer,
    }));
  }
  const transport = new StreamableHTTPClientTransport(new URL("/mcp", options.edge));
  await client.connect(transport, { timeout: REQUEST_TIMEOUT_MS });
  const sdk = {
    ...adapter(client),
    // A client that follows progress waits on as long as there is some.
    wait: async (name, given, onprogress) => {
      const options = { onprogress, resetTimeoutOnProgress: true };
      const called = client.callTool({ name, arguments: given }, options);
      return textOf(name, await called);
    },
    protocol: () => client.getNegotiatedProtocolVersion(),
    close: async () => {
      if (!modern) await transport.terminateSession().catch(() => {});
      await client.close();
    },
  };
  if (modern) sdk.subscribe = (uri) => listen(client, uri);
  return sdk;
});
