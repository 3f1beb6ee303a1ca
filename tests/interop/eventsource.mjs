// Follows `GET /events/stream` as a browser does: an EventSource that reconnects by itself and
// sends its last id. The connection is cut during the stream, and an event happens while it is down.
import { randomUUID } from "node:crypto";

import { Arrivals, installed, postWebhook, reported } from "./shared.mjs";

const { EventSource } = await installed("eventsource");

await reported("eventsource", async (options, _, report) => {
  const [before, whileDown, after] = [randomUUID(), randomUUID(), randomUUID()];
  const opened = new Arrivals("connected");
  const first = new Arrivals(before);
  const rest = new Arrivals("connected again", whileDown, after);
  const got = [];
  const resumedFrom = [];
  let cut;
  let lastId;
  const source = new EventSource(new URL("/events/stream", options.edge), {
    fetch: (url, init) => {
      resumedFrom.push(init.headers["Last-Event-ID"] ?? null);
      cut = new AbortController();
      return fetch(url, { ...init, signal: AbortSignal.any([init.signal, cut.signal]) });
    },
  });
  source.addEventListener("connected", () => {
    opened.arrived("connected");
    if (resumedFrom.length > 1) rest.arrived("connected again");
  });
  source.addEventListener("event", (event) => {
    const { delivery } = JSON.parse(event.data).metadata;
    if (![before, whileDown, after].includes(delivery)) return;
    got.push(delivery);
    lastId = event.lastEventId;
    first.arrived(delivery);
    rest.arrived(delivery);
  });
  try {
    await opened.wait();
    report.step = "first event";
    await postWebhook(options, before);
    await first.wait();
    report.step = "reconnect";
    const expectedId = lastId;
    // Not an AbortError: that would look like our own close().
    cut.abort(new Error("the connection is cut"));
    await postWebhook(options, whileDown);
    await postWebhook(options, after);
    await rest.wait();
    if (resumedFrom[1] !== expectedId) {
      throw new Error(`resumed from ${resumedFrom[1]}, the last id was ${expectedId}`);
    }
    if (String(got) !== String([before, whileDown, after])) {
      throw new Error(`not once and in order: ${got}`);
    }
  } finally {
    source.close();
  }
});
