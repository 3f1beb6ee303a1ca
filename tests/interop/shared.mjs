// Shared by the TypeScript clients: the walk of shared.py, with the same expectations, in the same
// order. A client provides an adapter of its SDK; `main` walks it through each requested revision
// and prints a line of JSON per revision.
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

// deploy/setup.sh installs the packages elsewhere, not beside this file, so that the source tree
// stays clean.
const packages = createRequire(new URL("../../.setup/package.json", import.meta.url));
export const installed = (name) => import(pathToFileURL(packages.resolve(name)).href);

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
// Explained in shared.py.
export const EXPECTATIONS = read("expectations.json");
export const ISSUE_URI = EXPECTATIONS.issueUri;
export const MODERN = "2026-07-28";
const FIRST_WITH_ELICITATION = "2025-06-18";
const NOTIFICATION_DEADLINE_MS = 10_000;
// For one revision: a server that accepts and then stays silent must not hang the test run.
const RUN_DEADLINE_MS = 45_000;
export const REQUEST_TIMEOUT_MS = 10_000;

// The expectation about a tool that asks the user, if there is one and the revision supports it.
export const asks = (revision) =>
  revision >= FIRST_WITH_ELICITATION ? EXPECTATIONS.elicitation : null;

export function withDeadline(promise, milliseconds, what) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(what())), milliseconds);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

// Items that must arrive; remembers which of them have.
export class Arrivals {
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

  wait() {
    return withDeadline(
      this.all,
      NOTIFICATION_DEADLINE_MS,
      () => `never arrived: ${[...this.pending]}`,
    );
  }
}

// The notifications that one webhook must cause.
class Expected extends Arrivals {
  constructor(revision) {
    // The stateless era has notifications of resources only.
    super("resources/updated", ...(revision === MODERN ? [] : ["event"]));
    this.delivery = randomUUID();
  }

  updated(uri) {
    if (uri === ISSUE_URI) this.arrived("resources/updated");
  }

  logged(logger, data) {
    if (logger === EXPECTATIONS.eventLogger && data?.metadata?.delivery === this.delivery) {
      this.arrived("event");
    }
  }
}

// The webhook that GitHub would send for an issue whose new title is the delivery's id.
export async function postWebhook(options, delivery) {
  const payload = read("issue.json");
  payload.issue.title = delivery;
  payload.issue.updated_at = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const body = JSON.stringify(payload);
  const signature = createHmac("sha256", options.secret).update(body).digest("hex");
  const response = await fetch(options["webhook-url"], {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/interop",
      "x-github-event": "issues",
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${signature}`,
    },
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`webhook refused: ${response.status} ${text}`);
}

function contains(what, text, part) {
  if (typeof text !== "string" || !text.includes(part)) {
    throw new Error(`${what}: ${part} is not in ${String(text).slice(0, 500)}`);
  }
}

function lists(what, listed, wanted) {
  const absent = wanted.filter((name) => !listed.includes(name));
  if (absent.length > 0) throw new Error(`${what} lacks ${absent}; it has ${listed}`);
}

// Uses the server as an application would. Every client does exactly this.
async function walk(sdk, revision, expected, options, report) {
  report.protocol = sdk.protocol();
  if (report.protocol !== revision) {
    throw new Error(`asked for ${revision} and got ${report.protocol}`);
  }
  report.step = "tools";
  lists("tools/list", await sdk.tools(), EXPECTATIONS.tools);
  const { name, arguments: given } = EXPECTATIONS.call;
  contains("tools/call", await sdk.call(name, given), "");

  report.step = "resources";
  lists("resources/list", await sdk.resources(), EXPECTATIONS.resources);
  for (const uri of EXPECTATIONS.resources) {
    contains(`resources/read ${uri}`, await sdk.read(uri), "{");
  }

  report.step = "prompts";
  const prompts = EXPECTATIONS.prompts;
  if (prompts.length > 0) {
    lists("prompts/list", await sdk.prompts(), prompts.map((prompt) => prompt.name));
  }
  for (const prompt of prompts) {
    const text = await sdk.prompt(prompt.name, prompt.arguments);
    contains(`prompts/get ${prompt.name}`, text, prompt.text);
  }

  report.step = "elicitation";
  const question = asks(revision);
  if (question) {
    const text = await sdk.call(question.name, question.arguments);
    contains(`the result of ${question.name}`, text, question.text);
  }

  report.step = "subscribe";
  const unsubscribe = await sdk.subscribe(ISSUE_URI);
  report.step = "webhook";
  const posted = performance.now();
  await postWebhook(options, expected.delivery);
  report.step = "notifications";
  await expected.wait();
  report.waited_ms = Math.round((performance.now() - posted) * 10) / 10;
  await unsubscribe();
  // After the notification of a change, the change can be read from any edge.
  contains(`resources/read ${ISSUE_URI}`, await sdk.read(ISSUE_URI), expected.delivery);
}

// Waits for an event that happens late, as an agent that has nothing else to do. The SDK gives up 60 s after the last
// message of progress.
async function wait(sdk, expected, options, report) {
  report.step = "wait";
  const seconds = Number(options["wait-seconds"]);
  const told = [];
  const late = new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const happens = late.then(() => postWebhook(options, expected.delivery));
  let input = { maxWaitSeconds: seconds * 2 };
  // Others wait for events of their own: again after the cursor of an answer that has only those.
  for (;;) {
    const text = await sdk.wait("wait_for_events", input, ({ message }) => told.push(message));
    const answer = JSON.parse(text);
    if (JSON.stringify(answer.events).includes(expected.delivery)) break;
    input = { ...input, cursor: answer.cursor };
  }
  await happens;
  const least = Math.floor(seconds / 30);
  if (told.length < least || !told.every((message) => message.includes("cursor"))) {
    throw new Error(`${told.length} messages of progress, at least ${least} were expected: ${told}`);
  }
}

// Runs `body(options, revision, report)` for each revision, reports, and ends the process.
export async function reported(sdk, body) {
  const { values: options } = parseArgs({
    options: {
      edge: { type: "string" },
      "webhook-url": { type: "string" },
      secret: { type: "string" },
      transport: { type: "string", default: "http" },
      // Only wait for an event, which happens after this time.
      "wait-seconds": { type: "string", default: "0" },
      revision: { type: "string", multiple: true },
    },
  });
  for (const name of ["edge", "webhook-url", "secret", "revision"]) {
    if (!options[name]) throw new Error(`--${name} is required`);
  }
  let failed = 0;
  for (const revision of options.revision) {
    const report = { ok: false, sdk, revision, step: "connect" };
    try {
      const deadline = RUN_DEADLINE_MS + Number(options["wait-seconds"]) * 1000;
      const late = () => `not finished after ${deadline} ms`;
      await withDeadline(body(options, revision, report), deadline, late);
      report.ok = true;
    } catch (error) {
      report.error = String(error);
      console.error(error);
      failed = 1;
    }
    console.log(JSON.stringify(report));
  }
  // Streams that a failure left open must not keep the process alive.
  process.exit(failed);
}

// `connect(options, revision, expected)` gives an adapter: the calls of `walk`, and `close`.
export function main(name, connect) {
  return reported(name, async (options, revision, report) => {
    const expected = new Expected(revision);
    const sdk = await connect(options, revision, expected);
    try {
      if (Number(options["wait-seconds"]) > 0) await wait(sdk, expected, options, report);
      else await walk(sdk, revision, expected, options, report);
    } finally {
      await sdk.close();
    }
  });
}

export function textOf(name, result) {
  if (result.isError) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
  return result.content[0]?.text;
}

// The calls that have the same form in both SDKs.
export function adapter(client) {
  return {
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: async (name, given) => textOf(name, await client.callTool({ name, arguments: given })),
    resources: async () => (await client.listResources()).resources.map((one) => one.uri),
    read: async (uri) => (await client.readResource({ uri })).contents[0]?.text,
    prompts: async () => (await client.listPrompts()).prompts.map((prompt) => prompt.name),
    prompt: async (name, given) => {
      const { messages } = await client.getPrompt({ name, arguments: given });
      return messages.map((message) => message.content.text ?? "").join(" ");
    },
    // By the mechanism of the handshake era.
    async subscribe(uri) {
      await client.subscribeResource({ uri });
      await this.call("subscribe_to_events", {});
      return async () => {};
    },
  };
}
