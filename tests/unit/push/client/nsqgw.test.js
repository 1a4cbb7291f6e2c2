// The client's decisions, with a clock to turn and WebSockets whose far side is the test.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client, PushError } from "../../../../gateways/push/client/nsqgw.js";
import { answerFetch, clock, page, record, ScriptedSocket, settled } from "./scripted.js";

const sockets = ScriptedSocket.all;
const only = { transports: ["websocket"] };

beforeEach(() => {
  clock.install();
  answerFetch();
});

async function connected(options = only) {
  const client = new Client("https://push.example.org/", options).connect();
  await settled();
  ScriptedSocket.last.greet();
  return client;
}

async function subscribed(options = only, more = {}) {
  const client = await connected(options);
  const subscription = client.subscribe("events", more);
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  return { client, subscription, seen: record(subscription, "message", "gap", "state") };
}

const numbers = (seen) => seen.filter(([type]) => type === "message").map(([, { data }]) => data);

test("one WebSocket, with the protocol's name, at /connect", async () => {
  const client = new Client("/push?sig=a%2Fb", only).connect();
  await settled();
  assert.equal(ScriptedSocket.last.url, "wss://push.example.org/push/connect?sig=a%2Fb");
  assert.deepEqual(ScriptedSocket.last.subprotocols, ["nsqgw.v1.json"]);
  assert.equal(client.state, "connecting");
  ScriptedSocket.last.greet();
  assert.equal(client.state, "connected");
  assert.equal(client.transport, "websocket");
  await client.ready();
});

test("options and transports that do not exist are refused by name", () => {
  assert.throws(() => new Client("/", { retries: 3 }), /there is no option retries; there are getToken/);
  assert.throws(() => new Client("/", { transports: ["flash"] }), /there is no transport flash; there are websocket, sse, poll/);
});

test("messages come with channel, position and key; bytes as Uint8Array", async () => {
  const { seen } = await subscribed();
  ScriptedSocket.last.message("events", 1);
  ScriptedSocket.last.message("events", 2, { data: "/wA=", base64: true });
  assert.deepEqual(seen[0], ["message", { channel: "events", position: "here-1", key: "k1", data: "message 1" }]);
  assert.deepEqual(seen[1][1].data, new Uint8Array([255, 0]));
});

test("a lost connection is made again, everything is asked for in one turn, each from its position", async () => {
  const { client, subscription, seen } = await subscribed();
  client.subscribe("logs", { presence: true });
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  ScriptedSocket.last.message("events", 7);
  ScriptedSocket.last.drop();
  assert.equal(client.state, "connecting");
  assert.equal(subscription.state, "subscribing");
  await clock.advance(1);
  const again = ScriptedSocket.last;
  assert.equal(sockets.length, 2);
  again.greet();
  assert.deepEqual(again.sent, [
    { id: 1, op: "subscribe", channel: "events", since: "here-7" },
    { id: 2, op: "subscribe", channel: "logs", since: "here-0", presence: true },
  ]);
  again.say({ id: 1, ok: "subscribe", channel: "events", position: "here-7", recovered: false });
  again.say({ push: "gap", channel: "events", lost: 3 });
  again.message("events", 11);
  assert.deepEqual(seen.slice(1), [
    ["state", { state: "subscribing" }],
    ["state", { state: "subscribed", recovered: false }],
    ["gap", { channel: "events", lost: 3 }],
    ["message", { channel: "events", position: "here-11", key: "k11", data: "message 11" }],
  ]);
});

test("a message that goes to two channels of a pattern comes in both, and in each once", async () => {
  const client = await connected();
  const subscription = client.subscribe("orders.*");
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  const seen = record(subscription, "message");
  for (const channel of ["orders.1", "orders.late", "orders.1"]) ScriptedSocket.last.message(channel, 1);
  assert.deepEqual(seen.map(([, { channel }]) => channel), ["orders.1", "orders.late"]);
});

test("a pattern has a position for each of its channels, and one for the others; of the oldest, one for all", async () => {
  const client = await connected();
  const orders = client.subscribe("orders.*", { filter: { state: "paid" } });
  const seen = record(orders, "message", "gap");
  assert.equal(ScriptedSocket.last.sent[0].filter.state, "paid");
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  ScriptedSocket.last.message("orders.7", 1);
  ScriptedSocket.last.message("orders.8", 2);
  ScriptedSocket.last.message("other", 3);
  ScriptedSocket.last.say({ push: "gap", channel: "orders.8", lost: 1 });
  assert.deepEqual(orders.position, { "orders.*": "here-0", "orders.7": "here-1", "orders.8": "here-2" });
  assert.deepEqual(seen.map(([type, { channel }]) => [type, channel]), [["message", "orders.7"], ["message", "orders.8"], ["gap", "orders.8"]]);
  for (let number = 10; number < 200; number += 1) ScriptedSocket.last.message(`orders.${number}`, number);
  const { "orders.*": others, ...positions } = orders.position;
  assert.deepEqual([others, Object.keys(positions).length, positions["orders.101"]], ["here-100", 99, "here-101"]);
});

test("the position of a pattern's other channels goes on after a while, and not by the reply to a resumption", async () => {
  const client = await connected();
  const orders = client.subscribe("orders.*");
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  for (const number of [31, 62, 93]) {
    await clock.advance(31);
    ScriptedSocket.last.message("orders.7", number);
  }
  assert.equal(orders.position["orders.*"], "here-62");
  ScriptedSocket.last.drop();
  await clock.advance(1);
  ScriptedSocket.last.greet();
  ScriptedSocket.last.answer("subscribe", { position: "here-120", recovered: true });
  assert.deepEqual(orders.position, { "orders.*": "here-62", "orders.7": "here-93" });
});

test("what another process sends twice is told once, and its position counts", async () => {
  const { subscription, seen } = await subscribed();
  ScriptedSocket.last.message("events", 1);
  ScriptedSocket.last.message("events", 1, { position: "there-9" });
  ScriptedSocket.last.message("events", 2, { position: "there-10" });
  assert.deepEqual(numbers(seen), ["message 1", "message 2"]);
  assert.equal(subscription.position, "there-10");
});

test("pauses grow with full jitter up to the longest, and only a stable connection begins anew", async () => {
  const client = await connected({ ...only, minDelay: 0.5, maxDelay: 20 });
  const states = record(client, "state");
  const pause = () => states.map(([, { seconds }]) => seconds).filter(Boolean).at(-1);
  const longest = [];
  clock.chance = 1;
  for (let turn = 0; turn < 7; turn += 1) {
    ScriptedSocket.last.drop();
    longest.push(pause());
    await clock.advance(pause());
    ScriptedSocket.last.greet();
    await clock.advance(4.9); // not stable yet
  }
  assert.deepEqual(longest, [1, 2, 4, 8, 16, 20, 20]);
  clock.chance = 0;
  ScriptedSocket.last.drop();
  assert.equal(pause(), 0.5);
  await clock.advance(0.5);
  ScriptedSocket.last.greet();
  await clock.advance(5);
  clock.chance = 1;
  ScriptedSocket.last.drop();
  assert.equal(pause(), 1);
});

for (const code of [1001, 1006, 1011, 1012, 4000, 4008, 4499]) {
  test(`close ${code} bids to come back`, async () => {
    const client = await connected();
    ScriptedSocket.last.drop(code);
    assert.equal(client.state, "connecting");
    await clock.advance(1);
    assert.equal(sockets.length, 2);
  });
}

for (const code of [1000, 1002, 1008, 1009, 4500, 4501, 4507, 4999]) {
  test(`close ${code} is the end, and told`, async () => {
    const client = await connected();
    const seen = record(client, "state", "error");
    ScriptedSocket.last.drop(code, "because");
    assert.deepEqual(seen[0], ["state", { state: "disconnected", code, reason: "because" }]);
    assert.equal(seen[1][1].code, code);
    await clock.advance(100);
    assert.equal(sockets.length, 1);
    await assert.rejects(client.ready(), PushError);
  });
}

test("drain: back when the gateway said, whether it closes at once", async () => {
  await connected();
  ScriptedSocket.last.say({ push: "drain", seconds: 8 });
  ScriptedSocket.last.drop(1012);
  await clock.advance(7.9);
  assert.equal(sockets.length, 1);
  await clock.advance(0.2);
  assert.equal(sockets.length, 2);
});

test("drain: or stays open, and then messages come until the end", async () => {
  const { seen } = await subscribed();
  ScriptedSocket.last.say({ push: "drain", seconds: 8 });
  await clock.advance(7.9);
  ScriptedSocket.last.message("events", 1);
  assert.equal(sockets.length, 1);
  await clock.advance(1.2);
  assert.equal(sockets.length, 2);
  assert.equal(sockets[0].closedWith, 1000);
  assert.deepEqual(numbers(seen), ["message 1"]);
});

test("a gateway that does not greet within the handshake's time is left", async () => {
  await connected();
  ScriptedSocket.last.drop();
  await clock.advance(1);
  assert.equal(sockets.length, 2);
  await clock.advance(4.7); // it began 0.25 seconds ago
  assert.equal(sockets[1].closedWith, null);
  await clock.advance(0.1);
  assert.equal(sockets[1].closedWith, 1000);
  await clock.advance(2);
  assert.equal(sockets.length, 3);
});

test("watchdog: silent for the interval of pings and the grace is dead", async () => {
  const client = await connected();
  for (const _ of [1, 2]) {
    await clock.advance(30);
    ScriptedSocket.last.say({ push: "ping" });
  }
  await clock.advance(34.9);
  assert.equal(client.state, "connected");
  await clock.advance(0.2);
  assert.equal(client.state, "connecting");
});

test("a page that slept asks before it gives up a connection", async () => {
  const client = await connected();
  await clock.sleep(3600);
  assert.equal(client.state, "connected");
  ScriptedSocket.last.answer("ping");
  await clock.advance(30);
  assert.equal(client.state, "connected");
  await clock.sleep(3600);
  await clock.advance(5.1);
  assert.equal(client.state, "connecting");
});

test("online, and a page that is looked at again, end the pause; going offline makes it ask", async () => {
  const client = await connected();
  page.fire("offline");
  assert.equal(ScriptedSocket.last.asked("ping").length, 1);
  await clock.advance(5.1);
  assert.equal(client.state, "connecting");
  page.fire("online");
  await settled();
  assert.equal(sockets.length, 2);
  ScriptedSocket.last.drop();
  page.show("hidden");
  page.show("visible");
  await settled();
  assert.equal(sockets.length, 3);
});

test("a page hidden for long gives up its connection, and goes on when it is looked at", async () => {
  const { client, seen } = await subscribed({ ...only, hiddenTimeout: 60 });
  ScriptedSocket.last.message("events", 1);
  page.show("hidden");
  await clock.advance(30);
  ScriptedSocket.last.say({ push: "ping" });
  await clock.advance(31);
  assert.equal(sockets[0].closedWith, 1000);
  assert.equal(client.state, "connecting");
  await clock.advance(600);
  assert.equal(sockets.length, 1);
  page.show("visible");
  await settled();
  ScriptedSocket.last.greet();
  assert.equal(ScriptedSocket.last.asked("subscribe")[0].since, "here-1");
  assert.equal(seen.length, 2);
});

test("a page that the browser puts aside has no connection, and one when it is taken out again", async () => {
  await connected();
  page.fire("pagehide");
  assert.equal(sockets[0].closedWith, 1000);
  page.fire("pageshow");
  await settled();
  assert.equal(sockets.length, 2);
});

test("publishes wait for a connection, in order and bounded", async () => {
  const client = new Client("/", { ...only, maxQueue: 2 }).connect();
  const first = client.publish("events", "one");
  const second = client.publish("events", new Uint8Array([255, 0]));
  await assert.rejects(client.publish("events", "three"), /too many requests waiting: at most 2/);
  await settled();
  ScriptedSocket.last.greet();
  const sent = ScriptedSocket.last.asked("publish");
  assert.deepEqual(sent, [
    { id: 1, op: "publish", channel: "events", data: "one" },
    { id: 2, op: "publish", channel: "events", data: "/wA=", base64: true },
  ]);
  ScriptedSocket.last.say({ id: 1, ok: "publish", channel: "events" });
  ScriptedSocket.last.say({ id: 2, error: { code: 113, text: "not published", temporary: true } });
  assert.equal(await first, undefined);
  await assert.rejects(second, { code: 113, temporary: true, unknown: false });
  assert.throws(() => client.publish("events", { a: 1 }), TypeError);
});

test("a publish without an answer is not repeated: whether it was done is unknown", async () => {
  const client = await connected();
  const lost = client.publish("events", "one");
  ScriptedSocket.last.drop();
  await assert.rejects(lost, { unknown: true, temporary: true });
  await clock.advance(1);
  ScriptedSocket.last.greet();
  assert.deepEqual(ScriptedSocket.last.asked("publish"), []);
  const late = client.publish("events", "two");
  const rejected = assert.rejects(late, /no answer/);
  await clock.advance(10);
  await rejected;
});

test("no more publishes under way, and frames a second, than the gateway takes", async () => {
  const client = await connected({ ...only, maxQueue: 1000 });
  const all = Array.from({ length: 300 }, (_, number) => client.publish("events", `${number}`));
  const { sent } = ScriptedSocket.last;
  assert.equal(sent.length, 16);
  const answerAll = () => {
    for (let next = 0; next < sent.length; next += 1) ScriptedSocket.last.say({ id: sent[next].id, ok: "publish" });
  };
  answerAll();
  assert.equal(sent.length, 160);
  await clock.advance(2.9);
  assert.equal(sent.length, 160);
  await clock.advance(0.2);
  answerAll();
  await Promise.all(all);
  assert.deepEqual(sent.map(({ data }) => Number(data)), all.map((_, number) => number));
});

test("what is too large for the gateway is refused here, since it would close the connection", async () => {
  const client = await connected();
  await assert.rejects(client.publish("events", "x".repeat(65536)), /too large: .* bytes, the gateway takes 65536/);
  assert.deepEqual(ScriptedSocket.last.sent, []);
});

test("presence", async () => {
  const { client, subscription } = await subscribed(only, { presence: true });
  const seen = record(subscription, "join", "leave");
  ScriptedSocket.last.say({ push: "join", channel: "events", client: "you" });
  const asked = client.presence("events");
  ScriptedSocket.last.answer("presence", { count: 2, clients: ["me", "you"] });
  assert.deepEqual(await asked, { count: 2, clients: ["me", "you"] });
  assert.deepEqual(seen, [["join", { channel: "events", client: "you" }]]);
});

test("a refused subscription ends and tells why; a temporary refusal is tried again", async () => {
  const client = await connected();
  const secret = client.subscribe("secret");
  const states = record(secret, "state");
  const ready = secret.ready();
  ScriptedSocket.last.answer("subscribe", { error: { code: 103, text: "not allowed", temporary: false } });
  await assert.rejects(ready, { code: 103 });
  assert.equal(states[0][1].error.code, 103);
  const busy = client.subscribe("busy");
  ScriptedSocket.last.answer("subscribe", { error: { code: 111, text: "too many", temporary: true } });
  await clock.advance(1);
  ScriptedSocket.last.answer("subscribe", { position: "here-0" });
  assert.equal(busy.state, "subscribed");
  ScriptedSocket.last.say({ push: "unsubscribed", channel: "busy", error: { code: 103, text: "not allowed", temporary: false } });
  assert.equal(busy.state, "unsubscribed");
});

test("unsubscribe, and what came before its reply is not told to another subscription", async () => {
  const { client, subscription, seen } = await subscribed();
  subscription.unsubscribe();
  const again = record(client.subscribe("events"), "message");
  assert.throws(() => client.subscribe("events"), /already subscribed: events/);
  ScriptedSocket.last.message("events", 1);
  ScriptedSocket.last.answer("subscribe", { position: "here-1" });
  ScriptedSocket.last.message("events", 2);
  assert.deepEqual(ScriptedSocket.last.sent.map(({ op }) => op), ["subscribe", "unsubscribe", "subscribe"]);
  assert.deepEqual(numbers(seen), []);
  assert.deepEqual(numbers(again), ["message 2"]);
});

test("a handler that throws stops nobody, and its error is the page's", async (scene) => {
  const thrown = [];
  scene.mock.method(globalThis, "queueMicrotask", (work) => thrown.push(work));
  const { subscription, seen } = await subscribed();
  subscription.on("message", () => {
    throw new Error("the page's own");
  });
  const after = record(subscription, "message");
  ScriptedSocket.last.message("events", 1);
  assert.throws(thrown[0], /the page's own/);
  assert.equal(numbers(seen).length + after.length, 2);
});

test("an error that has no handler goes to the console, with the channel it is about", async (scene) => {
  const { mock } = scene.mock.method(console, "error", () => {});
  const client = await connected();
  const error = { code: 102, text: "unknown channel", temporary: false };
  client.subscribe("evnts");
  ScriptedSocket.last.answer("subscribe", { error });
  client.subscribe("heard").on("state", () => {});
  ScriptedSocket.last.answer("subscribe", { error });
  ScriptedSocket.last.drop(4503, "disconnected");
  assert.deepEqual(mock.calls.map(({ arguments: [{ code }, channel] }) => [code, channel]), [[102, "evnts"], [4503, undefined]]);
});

test("positions outlive the page in a storage, written once a second", async () => {
  const kept = new Map();
  let writes = 0;
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void (kept.set(key, value), (writes += 1)) };
  const { client } = await subscribed({ ...only, storage });
  for (let number = 1; number <= 100; number += 1) ScriptedSocket.last.message("events", number);
  assert.equal(writes, 0);
  await clock.advance(1);
  assert.equal(writes, 1);
  client.disconnect();
  const next = await connected({ ...only, storage });
  assert.equal(next.subscribe("events", { since: "oldest" }).position, "here-100");
});

test("disconnect ends it all, connect goes on where it was", async () => {
  const { client, subscription } = await subscribed();
  ScriptedSocket.last.message("events", 4);
  const waiting = client.publish("events", "x");
  client.disconnect();
  await assert.rejects(waiting, PushError);
  await assert.rejects(client.publish("events", "y"), /disconnected/);
  await clock.advance(60);
  assert.deepEqual([sockets.length, clock.timers.size, Object.keys(page.listeners).length], [1, 0, 0]);
  client.connect();
  await settled();
  ScriptedSocket.last.greet();
  assert.equal(ScriptedSocket.last.sent[0].since, "here-4");
  assert.equal(subscription.state, "subscribing");
});

// Tokens

const token = { expires: 60 };

async function greeted(getToken, hello = { auth: "required" }) {
  const client = new Client("/", { ...only, getToken });
  const seen = record(client, "error");
  client.connect();
  await settled();
  ScriptedSocket.last?.greet(hello);
  return { client, seen };
}

/** Gives "token 1", "token 2" ..., and remembers why it was asked. */
function tokens() {
  const reasons = [];
  const give = async (reason) => `token ${reasons.push(reason)}`;
  return { reasons, give };
}

test("the token is the first word, and what is followed comes when it was accepted", async () => {
  const { give, reasons } = tokens();
  const { client } = await greeted(give);
  client.subscribe("events");
  assert.deepEqual(ScriptedSocket.last.sent, [{ id: 1, op: "auth", token: "token 1" }]);
  assert.equal(client.state, "connecting");
  ScriptedSocket.last.answer("auth", { user: "ann", ...token });
  assert.equal(client.state, "connected");
  assert.equal(ScriptedSocket.last.sent[1].op, "subscribe");
  assert.deepEqual(reasons, ["connect"]);
});

test("a gateway that wants none is shown none", async () => {
  const { client } = await greeted(tokens().give, { auth: "none" });
  assert.equal(client.state, "connected");
  assert.deepEqual(ScriptedSocket.last.sent, []);
});

test("a new token is shown before the old one expires, on the same connection", async () => {
  const { give, reasons } = tokens();
  await greeted(give);
  ScriptedSocket.last.answer("auth", { expires: 60 });
  await clock.advance(30);
  ScriptedSocket.last.say({ push: "ping" });
  await clock.advance(18.1); // a fifth of its time is left
  assert.deepEqual(ScriptedSocket.last.asked("auth").map((command) => command.token), ["token 1", "token 2"]);
  ScriptedSocket.last.answer("auth", { expires: 3600 });
  ScriptedSocket.last.say({ push: "expiring", seconds: 25 });
  await settled();
  assert.equal(ScriptedSocket.last.asked("auth").at(-1).token, "token 3");
  assert.deepEqual(reasons, ["connect", "refresh", "refresh"]);
  assert.equal(sockets.length, 1);
});

test("a token that is still good is shown again after a lost connection", async () => {
  const { give, reasons } = tokens();
  await greeted(give);
  ScriptedSocket.last.answer("auth", { expires: 3600 });
  ScriptedSocket.last.drop();
  await clock.advance(1);
  ScriptedSocket.last.greet({ auth: "required" });
  assert.equal(ScriptedSocket.last.asked("auth")[0].token, "token 1");
  assert.equal(reasons.length, 1);
});

const expired = { error: { code: 109, text: "token expired", temporary: true } };

test("expired: one try with another token at once, then the end", async () => {
  const { give, reasons } = tokens();
  const { client, seen } = await greeted(give);
  ScriptedSocket.last.answer("auth", expired);
  await settled();
  assert.equal(sockets.length, 2);
  ScriptedSocket.last.greet({ auth: "required" });
  ScriptedSocket.last.answer("auth", expired);
  await clock.advance(100);
  assert.equal(client.state, "disconnected");
  assert.equal(seen[0][1].code, 109);
  assert.deepEqual([reasons, sockets.length], [["connect", "expired"], 2]);
});

test("closed as expired: back with another token", async () => {
  const { give, reasons } = tokens();
  const { client } = await greeted(give);
  ScriptedSocket.last.answer("auth", token);
  ScriptedSocket.last.drop(4010, "token expired");
  await clock.advance(1);
  ScriptedSocket.last.greet({ auth: "required" });
  ScriptedSocket.last.answer("auth", token);
  assert.equal(client.state, "connected");
  assert.deepEqual(reasons, ["connect", "expired"]);
});

test("an invalid token is the end, and told", async () => {
  const { client, seen } = await greeted(tokens().give);
  ScriptedSocket.last.answer("auth", { error: { code: 101, text: "unauthorized", temporary: false } });
  ScriptedSocket.last.drop(4500, "invalid token");
  await clock.advance(100);
  assert.deepEqual([client.state, seen.length, seen[0][1].code, sockets.length], ["disconnected", 1, 101, 1]);
});

test("no token where one is needed is the end, and told", async () => {
  const { client, seen } = await greeted(null);
  assert.equal(client.state, "disconnected");
  assert.match(seen[0][1].message, /the gateway wants a token, see getToken/);
  const other = await greeted(() => null);
  assert.match(other.seen[0][1].message, /getToken gave no token/);
});

test("who gives out tokens may be away, or slow: tried again with pauses", async () => {
  let calls = 0;
  const { client, seen } = await greeted(() => {
    calls += 1;
    if (calls === 1) throw new Error("no network");
    return calls === 2 ? new Promise(() => {}) : "at last";
  });
  assert.match(String(seen[0][1]), /no network/);
  await clock.advance(1);
  assert.equal(calls, 2);
  await clock.advance(12);
  assert.match(String(seen[1][1]), /getToken takes too long/);
  ScriptedSocket.last.greet({ auth: "required" });
  ScriptedSocket.last.answer("auth");
  assert.equal(client.state, "connected");
});

test("a new token that cannot be had is asked for again while the old one holds", async () => {
  let calls = 0;
  const { client, seen } = await greeted(() => {
    calls += 1;
    if (calls === 2) throw new Error("no network");
    return `token ${calls}`;
  });
  ScriptedSocket.last.answer("auth", { expires: 30 });
  await clock.advance(24.1);
  assert.equal(seen.length, 1);
  await clock.advance(5);
  assert.equal(ScriptedSocket.last.asked("auth").at(-1).token, "token 3");
  assert.equal(client.state, "connected");
});
