// Uses Forgewire through the official TypeScript client of MCP, as an application would.
//
// Connects, lists tools, calls one, lists resources, subscribes to one issue, posts a signed webhook
// about that issue and waits for what the server promised to send. Prints one line of JSON:
// {"ok": true, ...} and exit code 0, or {"ok": false, "missing": [...], ...} and exit code 1.
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

// The packages are where deploy/setup.sh puts them, not beside this file, so that the source tree
// stays clean.
const installed = createRequire(new URL("../../.setup/package.json", import.meta.url));
const { Client, StreamableHTTPClientTransport } = await import(
  pathToFileURL(installed.resolve("@modelcontextprotocol/client")).href
);

const ISSUE_URI = "github://issues/octo/hello/1";
const EVENT_LOGGER = "github.events";
const TOOLS = ["subscribe_to_events", "get_recent_events", "replay_events"];
const MODES = { handshake: "legacy", modern: { pin: "2026-07-28" } };
const NOTIFICATION_DEADLINE_MS = 10_000;
// Everything together; a server that accepts and then says nothing must not hang the test run.
const RUN_DEADLINE_MS = 60_000;
const REQUEST_TIMEOUT_MS = 10_000;

// Resolves to true with the promise, or to false once the deadline is over.
function withinDeadline(promise, milliseconds) {
  let timer;
  const deadline = new Promise((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  return Promise.race([promise.then(() => true), deadline]).finally(() => clearTimeout(timer));
}

// The things that have to arrive; remembers which of them have.
class Expected {
  constructor(...names) {
    this.pending = new Set(names);
    this.all = new Promise((resolve) => {
      this.complete = resolve;
    });
  }

  arrived(name) {
    this.pending.delete(name);
    if (this.pending.size === 0) this.complete();
  }

  missing() {
    return [...this.pending];
  }
}

async function postWebhook(url, secret, delivery) {
  const payload = JSON.parse(readFileSync(new URL("issue.json", import.meta.url), "utf8"));
  payload.issue.updated_at = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const body = JSON.stringify(payload);
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/interop",
      "x-github-event": "issues",
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    },
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  if (!response.ok) {
    throw new Error(`webhook refused: ${response.status} ${await response.text()}`);
  }
  await response.arrayBuffer();
  return response.status;
}

// Whether `data` is the resource event that our delivery became.
function isOurEvent(data, delivery) {
  return data?.resourceType === "issue" && data?.metadata?.delivery === delivery;
}

// Subscribes in the way of the era.
async function subscribe(client, era) {
  if (era === "modern") {
    const stream = await client.listen({ resourceSubscriptions: [ISSUE_URI] });
    const honoured = stream.honoredFilter.resourceSubscriptions ?? [];
    if (honoured.length !== 1 || honoured[0] !== ISSUE_URI) {
      throw new Error(`the server honours only ${JSON.stringify(stream.honoredFilter)}`);
    }
    return () => stream.close();
  }
  await client.subscribeResource({ uri: ISSUE_URI });
  const result = await client.callTool({ name: "subscribe_to_events", arguments: {} });
  if (result.isError) throw new Error(`subscribe_to_events: ${JSON.stringify(result.content)}`);
  return async () => {};
}

async function run(options, report) {
  const delivery = randomUUID();
  const wanted = ["resources/updated"];
  if (options.era === "handshake") wanted.push("event");
  const expected = new Expected(...wanted);

  const client = new Client(
    { name: "forgewire-interop-typescript", version: "1" },
    { versionNegotiation: { mode: MODES[options.era] } },
  );
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => {
    if (params.uri === ISSUE_URI) expected.arrived("resources/updated");
  });
  client.setNotificationHandler("notifications/message", ({ params }) => {
    if (params.logger === EVENT_LOGGER && isOurEvent(params.data, delivery)) {
      expected.arrived("event");
    }
  });

  const transport = new StreamableHTTPClientTransport(new URL(options.url));
  await client.connect(transport, { timeout: REQUEST_TIMEOUT_MS });
  try {
    report.protocol = client.getNegotiatedProtocolVersion();
    report.step = "tools/list";
    report.tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
    const absent = TOOLS.filter((name) => !report.tools.includes(name));
    if (absent.length > 0) throw new Error(`tools/list lacks ${absent}`);

    report.step = "tools/call get_recent_events";
    const recent = await client.callTool({ name: "get_recent_events", arguments: {} });
    if (recent.isError || recent.content.length === 0) {
      throw new Error(`get_recent_events: ${JSON.stringify(recent.content)}`);
    }

    report.step = "resources/list";
    report.resources = (await client.listResources()).resources.length;

    report.step = "subscribe";
    const unsubscribe = await subscribe(client, options.era);

    report.step = "webhook";
    const posted = performance.now();
    report.webhook_status = await postWebhook(options["webhook-url"], options.secret, delivery);

    report.step = "notifications";
    await withinDeadline(expected.all, NOTIFICATION_DEADLINE_MS);
    report.waited_ms = Math.round((performance.now() - posted) * 10) / 10;
    report.missing = expected.missing();
    report.ok = report.missing.length === 0;
    await unsubscribe();
  } finally {
    if (options.era === "handshake") await transport.terminateSession().catch(() => {});
    await client.close();
  }
}

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    era: { type: "string" },
    "webhook-url": { type: "string" },
    secret: { type: "string" },
  },
});
for (const name of ["url", "era", "webhook-url", "secret"]) {
  if (!options[name]) {
    console.error(`--${name} is required`);
    process.exit(2);
  }
}
if (!(options.era in MODES)) {
  console.error(`--era is one of ${Object.keys(MODES)}`);
  process.exit(2);
}

const report = { ok: false, sdk: "typescript", era: options.era, step: "connect" };
try {
  if (!(await withinDeadline(run(options, report), RUN_DEADLINE_MS))) {
    report.ok = false;
    report.error = `not finished after ${RUN_DEADLINE_MS} ms`;
  }
} catch (error) {
  report.ok = false;
  report.error = String(error);
  console.error(error);
}
console.log(JSON.stringify(report));
// Streams that a failure left open must not keep the process alive.
process.exit(report.ok ? 0 : 1);
