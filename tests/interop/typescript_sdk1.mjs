// Uses Forgewire through the official TypeScript SDK of MCP, 1.x: every handshake revision over
// Streamable HTTP, and with `--transport sse` the original 2024-11-05, over HTTP+SSE.
import { REQUEST_TIMEOUT_MS, adapter, asks, installed, main, textOf } from "./shared.mjs";

const SDK = "@modelcontextprotocol/sdk";
const { Client } = await installed(`${SDK}/client/index.js`);
const { SSEClientTransport } = await installed(`${SDK}/client/sse.js`);
const { StreamableHTTPClientTransport } = await installed(`${SDK}/client/streamableHttp.js`);
const types = await installed(`${SDK}/types.js`);

// An SDK of that time requests its own revision; this one always requests its newest.
function asking(transport, revision) {
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    const first = message.method === "initialize";
    const params = { ...message.params, protocolVersion: revision };
    return send(first ? { ...message, params } : message, options);
  };
  return transport;
}

await main("typescript 1.x", async (options, revision, expected) => {
  const capabilities = asks(revision) ? { elicitation: {} } : {};
  const me = { name: "forgewire-interop-typescript", version: "1" };
  const client = new Client(me, { capabilities });
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) =>
    expected.updated(params.uri),
  );
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) =>
    expected.logged(params.logger, params.data),
  );
  if (asks(revision)) {
    client.setRequestHandler(types.ElicitRequestSchema, () => ({
      action: "accept",
      content: asks(revision).answer,
    }));
  }
  const sse = options.transport === "sse";
  const transport = sse
    ? new SSEClientTransport(new URL("/sse", options.edge))
    : new StreamableHTTPClientTransport(new URL("/mcp", options.edge));
  let protocol;
  // The client passes the negotiated revision only to its transport.
  transport.setProtocolVersion = ((set) => (version) => {
    protocol = version;
    return set?.call(transport, version);
  })(transport.setProtocolVersion);
  await client.connect(asking(transport, revision), { timeout: REQUEST_TIMEOUT_MS });
  return {
    ...adapter(client),
    // A client that follows progress waits on as long as there is some.
    wait: async (name, given, onprogress) => {
      const options = { onprogress, resetTimeoutOnProgress: true };
      const called = client.callTool({ name, arguments: given }, undefined, options);
      return textOf(name, await called);
    },
    protocol: () => protocol,
    close: async () => {
      if (!sse) await transport.terminateSession().catch(() => {});
      await client.close();
    },
  };
});
