// Follows `GET /events/stream` with an EventSource whose place is taken while it is cut off: the edges
// have room for one stream each. It gives up for good on any answer but 200, so it has to be told to come
// back, and then continues after its last id.
import { randomUUID } from "node:crypto";

import { Arrivals, installed, postWebhook, reported, withDeadline } from "./shared.mjs";

const { EventSource } = await installed("eventsource");
// At a bound, a page is told to come back within 4 s; each edge in turn may be full.
const COMES_BACK_MS = 40_000;

await reported("eventsource_full", async (options, _, report) => {
  const url = new URL("/events/stream", options.edge);
  const whileDown = randomUUID();
  const opened = new Arrivals("connected");
  let resolveEvent;
  const resumed = new Promise((resolve) => {
    resolveEvent = resolve;
  });
  let answers = 0;
  let connects = 0;
  let cut;
  let lastId;
  const got = [];
  const source = new EventSource(url, {
    fetch: async (target, init) => {
      cut = new AbortController();
      const signal = AbortSignal.any([init.signal, cut.signal]);
      const response = await fetch(target, { ...init, signal });
      if (response.status !== 200) throw new Error(`HTTP ${response.status}`);
      if (lastId) answers += 1;
      return response;
    },
  });
  source.addEventListener("connected", (event) => {
    lastId ??= event.lastEventId;
    connects += 1;
    opened.arrived("connected");
  });
  source.addEventListener("event", (event) => {
    got.push(JSON.parse(event.data).metadata.delivery);
    if (got.includes(whileDown)) resolveEvent();
  });
  const taken = [];
  try {
    await opened.wait();
    report.step = "its place is taken";
    cut.abort(new Error("the connection is cut"));
    // Other clients get 503 once every place is taken.
    for (let refusals = 0; refusals < 6; ) {
      const other = new AbortController();
      const response = await fetch(url, { signal: other.signal });
      if (response.status === 503) refusals += 1;
      else taken.push(other);
    }
    await postWebhook(options, whileDown);
    report.step = "refused and told to come back";
    const turnedAway = async () => {
      while (answers === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await withDeadline(turnedAway(), COMES_BACK_MS, () => "never tried again");
    if (connects !== 1) throw new Error("it found a place");
    for (const other of taken.splice(0)) other.abort();
    report.step = "back";
    await withDeadline(resumed, COMES_BACK_MS, () => `state ${source.readyState}, ${answers} answers`);
    if (String(got) !== whileDown) throw new Error(`not once: ${got}`);
  } finally {
    source.close();
    for (const other of taken) other.abort();
  }
});
