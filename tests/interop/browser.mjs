// Drives a real Chromium over its DevTools protocol. `demo`: the page /demo, with its EventSource, on an edge without
// authentication. `documented`: the browser client of the document of /mcp/sse, word for word where it has code, and
// the page with its token, which it sends in a header.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { reported, withDeadline } from "./shared.mjs";

const DEADLINE_MS = 15_000;
// As in tests/tests/interop/main.rs.
const TOKEN = "the-token-of-a-page-that-may-do-everything";

// One tab. Errors of the page end the test.
class Tab {
  static async open() {
    const tab = new Tab();
    tab.profile = mkdtempSync(join(tmpdir(), "forgewire-browser-"));
    tab.process = spawn("chromium", [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
      "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
      `--user-data-dir=${tab.profile}`, "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const address = new Promise((resolve, reject) => {
      let text = "";
      tab.process.stderr.on("data", (chunk) => {
        text += chunk;
        const found = /DevTools listening on (ws:\S+)/.exec(text);
        if (found) resolve(new URL(found[1]));
      });
      tab.process.on("exit", () => reject(new Error(`chromium ended: ${text}`)));
    });
    const { host } = await withDeadline(address, DEADLINE_MS, () => "chromium does not start");
    const pages = await (await fetch(`http://${host}/json/list`)).json();
    const page = pages.find((one) => one.type === "page");
    tab.socket = new WebSocket(page.webSocketDebuggerUrl);
    tab.waiting = new Map();
    tab.problems = [];
    tab.number = 0;
    tab.socket.onmessage = ({ data }) => tab.received(JSON.parse(data));
    await new Promise((resolve, reject) => {
      tab.socket.onopen = resolve;
      tab.socket.onerror = () => reject(new Error("no connection to chromium"));
    });
    await tab.call("Runtime.enable");
    await tab.call("Page.enable");
    return tab;
  }

  received(message) {
    if (message.id !== undefined) this.waiting.get(message.id)?.(message);
    if (message.method === "Runtime.exceptionThrown") {
      this.problems.push(message.params.exceptionDetails.exception?.description ?? "an exception");
    }
    if (message.method === "Page.loadEventFired") this.loaded?.();
  }

  call(method, params = {}) {
    const id = ++this.number;
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result)));
    });
    this.socket.send(JSON.stringify({ id, method, params }));
    return withDeadline(answer, DEADLINE_MS, () => `${method} hangs`);
  }

  async go(url) {
    const loaded = new Promise((resolve) => { this.loaded = resolve; });
    await this.call("Page.navigate", { url: String(url) });
    await withDeadline(loaded, DEADLINE_MS, () => `${url} does not load`);
  }

  async run(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async until(what, expression) {
    const end = performance.now() + DEADLINE_MS;
    while (!(await this.run(expression))) {
      if (this.problems.length > 0) throw new Error(`${what}: ${this.problems}`);
      if (performance.now() > end) {
        throw new Error(`never: ${what}; the page shows ${await this.run("document.body.innerText")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close() {
    this.process.removeAllListeners("exit");
    const ended = new Promise((resolve) => this.process.on("exit", resolve));
    // With all its processes; killed alone, the others go on for a moment.
    await this.call("Browser.close").catch(() => this.process.kill("SIGKILL"));
    await withDeadline(ended, DEADLINE_MS, () => "chromium does not end");
    this.socket.close();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const shows = (name, part) =>
  `[...document.querySelectorAll("#log .${name}")].some((line) => line.innerText.includes(${JSON.stringify(part)}))`;
const click = (id) => `document.getElementById("${id}").click()`;

// Uses the page as a person would.
async function usePage(tab, options, report, token) {
  report.step = "the page";
  await tab.go(new URL("/demo", options.edge));
  await tab.run(`document.getElementById("token").value = ${JSON.stringify(token)}`);
  await tab.run(click("connect"));
  await tab.until("connected", `document.getElementById("status").value === "connected"`);
  await tab.until("the welcome", shows("mcp-notification", "serverInfo"));
  report.step = "send";
  await tab.run(click("send"));
  await tab.until("the tools", shows("mcp-response", "get_recent_events"));
  await tab.run(`document.getElementById("method").value = "recent"; ${click("fill")}; ${click("send")}`);
  await tab.until("the result of a tool", shows("tool-result", `"method":"get_recent_events"`));
  await tab.run(`document.getElementById("message").value = '{"id":"x","method":"no/such"}'; ${click("send")}`);
  await tab.until("an error", shows("mcp-error", "no/such"));
}

// The client of the document.
const DOCUMENTED = `(async () => {
  const got = {};
  const eventSource = new EventSource("/mcp/sse?token=${TOKEN}");
  const next = (name) => new Promise((resolve) => {
    eventSource.addEventListener(name, (event) => resolve(JSON.parse(event.data)), { once: true });
  });
  const send = (message) => fetch("/mcp/sse/send", {
    method: "POST",
    headers: { Authorization: "Bearer ${TOKEN}", "Content-Type": "application/json" },
    body: JSON.stringify({ connectionId: got.welcome.result.connectionId, message }),
  }).then((answer) => answer.json());
  const [status, welcome] = await Promise.all([next("connection-status"), next("mcp-notification")]);
  Object.assign(got, { status, welcome });
  const response = next("mcp-response");
  got.sent = await send({ method: "tools/list" });
  got.tools = (await response).result.tools.length;
  const result = next("tool-result");
  await send({ method: "tools/call", params: { name: "get_recent_events", arguments: {} } });
  got.result = await result;
  const notification = next("mcp-notification");
  const answer = await fetch("/mcp/sse/broadcast", {
    method: "POST",
    headers: { Authorization: "Bearer ${TOKEN}", "Content-Type": "application/json" },
    body: JSON.stringify({
      message: {
        type: "mcp-notification",
        result: { message: "Server maintenance in 5 minutes", level: "warning" },
        timestamp: new Date().toISOString(),
      },
      filter: { tokenTypes: ["master"] },
    }),
  });
  got.broadcast = await answer.json();
  got.notification = await notification;
  const stats = await fetch("/mcp/sse/stats", { headers: { Authorization: "Bearer ${TOKEN}" } });
  got.stats = await stats.json();
  eventSource.close();
  return got;
})()`;

function holds(what, is, value) {
  if (!is) throw new Error(`${what}: ${JSON.stringify(value)}`);
}

await reported("chromium", async (options, mode, report) => {
  const tab = await Tab.open();
  try {
    if (mode === "demo") {
      await usePage(tab, options, report, "");
      return;
    }
    await usePage(tab, options, report, TOKEN);
    await tab.run(click("stats"));
    await tab.until("statistics", `document.getElementById("log").innerText.includes("totalConnections")`);
    await tab.run(click("disconnect"));
    report.step = "the documented client";
    const got = await tab.run(DOCUMENTED);
    holds("status", got.status.status === "connected", got.status);
    holds("sent", got.sent.success && got.sent.sent, got.sent);
    holds("tools", got.tools > 0, got.tools);
    holds("result", got.result.method === "get_recent_events" && got.result.result, got.result);
    holds("broadcast", got.broadcast.success && got.broadcast.sentCount >= 1, got.broadcast);
    holds("notification", got.notification.result.level === "warning", got.notification);
    holds("statistics", got.stats.connectionsByType.master >= 1, got.stats);
    holds("no problem", tab.problems.length === 0, tab.problems);
  } finally {
    await tab.close();
  }
});
