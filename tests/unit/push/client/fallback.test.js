// Without WebSockets: event streams by fetch, then polls; and what worked is remembered.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client } from "../../../../gateways/push/client/nsqgw.js";
import { answerFetch, clock, record, ScriptedSocket, settled } from "./scripted.js";

const json = (document, status = 200, headers = {}) => new Response(JSON.stringify(document), { status, headers });

/** A gateway by HTTP: what was asked, and the event streams that are open. */
class Gateway {
  requests = [];
  streams = [];
  polls = [];
  refusals = {};

  constructor() {
    answerFetch((url, options) => this.#answer(url, options));
  }

  #answer(url, { headers, signal }) {
    this.requests.push({ path: url.pathname, search: url.search, ...headers });
    const refusal = this.refusals[url.pathname];
    if (refusal) return refusal();
    if (url.pathname === "/status") return json({ connected: {} });
    if (headers.Accept === "application/json") {
      return new Promise((resolve, reject) => {
        this.polls.push((document) => resolve(json(document)));
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    }
    return this.#stream(signal);
  }

  #stream(signal) {
    const stream = {};
    const body = new ReadableStream({
      start(controller) {
        const bytes = new TextEncoder();
        stream.write = (text) => controller.enqueue(bytes.encode(text));
        stream.end = () => controller.close();
        signal.addEventListener("abort", () => {
          stream.aborted = true;
          controller.error(signal.reason);
        });
      },
    });
    this.streams.push(stream);
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }
}

let gateway;

beforeEach(() => {
  clock.install();
  gateway = new Gateway();
});

/** Several turns, for what takes promises of fetch and streams. */
async function quiet() {
  for (let turn = 0; turn < 20; turn += 1) await settled();
}

async function withoutWebSockets(options = {}) {
  const client = new Client("https://push.example.org/?sig=1", options);
  const subscription = client.subscribe("events");
  const seen = record(subscription, "message", "gap");
  client.connect();
  await quiet();
  ScriptedSocket.last?.drop();
  await quiet();
  return { client, subscription, seen };
}

async function streaming(options) {
  const made = await withoutWebSockets(options);
  gateway.streams[0].write("retry: 1500\n\n");
  await quiet();
  return made;
}

test("an upgrade that fails is followed by an event stream, at once", async () => {
  const { client, subscription, seen } = await streaming();
  assert.deepEqual([client.transport, subscription.state], ["sse", "subscribed"]);
  assert.deepEqual(gateway.requests.map(({ path, search }) => path + search), ["/status?sig=1", "/stream/events?sig=1"]);
  gateway.streams[0].write("id: here-1-k1\ndata: one\ndata: more\n\n:\n\nid: here-2-k2\nevent: bin");
  gateway.streams[0].write('ary\ndata: /wA=\n\nevent: gap\ndata: {"lost": 2}\n\nevent: new\ndata: x\n\n');
  gateway.streams[0].write("id: here-4-k2\ndata: again\n\nid: here-5-k5\ndata:\n\n");
  await quiet();
  assert.deepEqual(seen.map(([type, { data, lost }]) => [type, data ?? lost]), [
    ["message", "one\nmore"],
    ["message", new Uint8Array([255, 0])],
    ["gap", 2],
    ["message", ""],
  ]);
  assert.equal(subscription.position, "here-5-k5");
});

test("a stream that ends goes on from its position, by what worked, after the gateway's retry", async () => {
  const { seen } = await streaming();
  gateway.streams[0].write("id: here-1\ndata: one\n\n");
  await quiet();
  gateway.streams[0].end();
  await quiet();
  await clock.advance(1.4);
  assert.equal(gateway.streams.length, 1);
  await clock.advance(0.2);
  await quiet();
  assert.equal(gateway.requests.at(-1).search, "?sig=1&since=here-1");
  assert.equal(ScriptedSocket.all.length, 1);
  assert.equal(seen.length, 1);
});

test("a stream lost before it had a position is told as a gap", async () => {
  const { seen } = await streaming();
  gateway.streams[0].end();
  await quiet();
  await clock.advance(2);
  await quiet();
  gateway.streams[1].write("retry: 1500\n\n");
  await quiet();
  assert.deepEqual(seen, [["gap", { channel: "events", lost: null }]]);
});

test("the id alone at the beginning is where a stream goes on that was lost before its first message", async () => {
  const { subscription, seen } = await streaming();
  gateway.streams[0].write("id: here-0-k0\n\n");
  await quiet();
  assert.equal(subscription.position, "here-0-k0");
  gateway.streams[0].end();
  await quiet();
  await clock.advance(2);
  await quiet();
  assert.equal(gateway.requests.at(-1).search, "?sig=1&since=here-0-k0");
  gateway.streams[1].write("retry: 1500\n\n");
  await quiet();
  assert.deepEqual(seen, []);
});

test("silence ends a stream", async () => {
  const { client } = await streaming();
  await clock.advance(30);
  gateway.streams[0].write(":\n\n");
  await quiet();
  await clock.advance(34.9);
  assert.equal(client.state, "connected");
  await clock.advance(0.2);
  assert.equal(client.state, "connecting");
  assert.ok(gateway.streams[0].aborted);
});

test("streams that something in between gathers give way to polls", async () => {
  const { client, seen } = await withoutWebSockets();
  await clock.advance(5.1);
  await quiet();
  assert.equal(client.transport, "poll");
  gateway.polls[0]({ position: "here-2", gap: true, messages: [{ position: "here-2", data: "two", key: "k2" }] });
  await quiet();
  assert.deepEqual(seen.map(([type]) => type), ["gap", "message"]);
  assert.equal(gateway.requests.at(-1).search, "?sig=1&since=here-2");
  gateway.polls[1]({ position: "here-2", gap: false, messages: [] });
  await quiet();
  assert.equal(gateway.polls.length, 2); // nothing came, and soon: no hot loop
  await clock.advance(1);
  await quiet();
  assert.equal(gateway.polls.length, 3);
});

test("unsubscribing ends the request, and nothing else", async () => {
  const { client, subscription } = await streaming();
  subscription.unsubscribe();
  await quiet();
  assert.ok(gateway.streams[0].aborted);
  assert.equal(client.state, "connected");
});

test("publishing takes a WebSocket", async () => {
  const { client } = await streaming();
  await assert.rejects(client.publish("events", "x"), { code: 103 });
});

test("a token is shown in a header; refused as expired, once more with another, then the end", async () => {
  const reasons = [];
  gateway.refusals["/stream/events"] = () => json({ error: "the token has expired" }, 401);
  const { client } = await withoutWebSockets({ transports: ["sse"], getToken: (reason) => `token ${reasons.push(reason)}` });
  const [error] = record(client, "error");
  await quiet();
  await clock.advance(60);
  assert.equal(error, undefined);
  assert.equal(client.state, "disconnected");
  assert.deepEqual(reasons, ["connect", "expired"]);
  assert.equal(gateway.requests.at(-1).Authorization, "Bearer token 2");
});

test("a busy gateway is heeded, a refused channel is told", async () => {
  gateway.refusals["/status"] = () => json({ error: "too many connections" }, 503, { "Retry-After": "9" });
  const { client, subscription } = await withoutWebSockets({ transports: ["sse"] });
  assert.equal(client.state, "connecting");
  await clock.advance(8.9);
  assert.equal(gateway.requests.length, 1);
  gateway.refusals = { "/stream/events": () => json({ error: "topic 'events' is not streamed here" }, 404) };
  const ended = record(subscription, "state");
  await clock.advance(0.2);
  await quiet();
  assert.equal(ended.at(-1)[1].error.code, 102);
});

test("what worked is tried alone until it has failed three times, also over reloads", async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const { client } = await streaming({ storage });
  client.disconnect();
  ScriptedSocket.all.length = 0;
  const again = new Client("https://push.example.org/?sig=1", { storage }).connect();
  await quiet();
  assert.deepEqual([again.transport, ScriptedSocket.all.length], ["sse", 0]);
});

test("a WebSocket that has worked is not given up for one bad moment", async () => {
  const client = new Client("https://push.example.org/").connect();
  await settled();
  ScriptedSocket.last.greet();
  for (const pause of [1, 1.5]) {
    ScriptedSocket.last.drop();
    await clock.advance(pause);
    assert.equal(gateway.requests.length, 0);
  }
  ScriptedSocket.last.drop();
  await clock.advance(2.5);
  assert.equal(ScriptedSocket.all.length, 4);
  ScriptedSocket.last.drop();
  await quiet();
  assert.equal(client.transport, "sse");
});
