// nsqgw.js: follows channels of an `nsqgw push` gateway, and keeps following them through whatever networks do.
//
//   const client = new Client("https://push.example.org/");
//   client.subscribe("events").on("message", ({ data }) => show(data));
//   client.connect();
//
// One link carries all channels: a WebSocket, or streams or polls by fetch, made to look like one. Links speak, the client
// decides. Times are in seconds. See docs/push-client.md and docs/push-protocol.md.

const SUBPROTOCOL = "nsqgw.v1.json";
const PING = 25; // between the gateway's signs of life, unless hello says otherwise
const PROBE = 5; // for an answer when a connection is doubted
const LATE = 1; // a timer so much behind time tells that the page slept
const UNDER_WAY = 16; // commands without an answer, as many publishes as the gateway takes
const [FRAMES, FRAMES_IN] = [160, 3]; // at most, in so many seconds: the gateway closes at 200 in two
const KEYS = 4096; // of a subscription's newest messages in their channels, by which a second copy is known
const [CHANNELS, SETTLED] = [100, 30]; // of a pattern with positions of their own; seconds until all before has come
const MARGIN = 30; // before a token expires, for a new one
const FAILURES = 3; // in a row, until what worked is doubted

const OFFLINE = 1006;
const EXPIRED = 4010;
const CODES_TO_RETURN_AFTER = [1001, 1005, OFFLINE, 1011, 1012, 1013, 1014];
const invitesBack = (code) => CODES_TO_RETURN_AFTER.includes(code) || (code >= 4000 && code < 4500);

const UNAUTHORIZED = 101;
const UNKNOWN_CHANNEL = 102;
const NOT_ALLOWED = 103;
const BAD_REQUEST = 107;
const TOKEN_EXPIRED = 109;

const DEFAULTS = {
  getToken: null,
  transports: ["websocket", "sse", "poll"],
  storage: null,
  minDelay: 0.5,
  maxDelay: 20,
  stableAfter: 5,
  handshakeTimeout: 5,
  timeout: 10,
  grace: 10,
  hiddenTimeout: Infinity,
  maxQueue: 100,
};

const now = () => performance.now() / 1000;
const after = (seconds, work) => setTimeout(work, Math.min(seconds, 86_400) * 1000);

/** Why something was not done: `code` is that of the protocol's error or close, 0 for the client's own. */
export class PushError extends Error {
  constructor(text, { code = 0, temporary = false, unknown = false, detail = "" } = {}) {
    super(detail ? `${text}: ${detail}` : text);
    this.name = "PushError";
    Object.assign(this, { code, temporary, unknown });
  }
}

class Emitter {
  #handlers = new Map();

  on(type, handler) {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
    return this;
  }

  off(type, handler) {
    this.#handlers.set(type, (this.#handlers.get(type) ?? []).filter((known) => known !== handler));
    return this;
  }

  // What a handler throws is for the page, and stops nobody else.
  _emit(type, event) {
    const handlers = this.#handlers.get(type) ?? [];
    const error = type === "error" ? event : event.error;
    if (error && !handlers[0]) console.error(error, this.channel);
    for (const handler of handlers) {
      try {
        handler(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

const unauthorized = (detail) => new PushError("unauthorized", { code: UNAUTHORIZED, detail });
const unanswered = (text) => new PushError(text, { temporary: true, unknown: true });

/** The promises of `ready()`. */
class Waiting {
  #promised = [];

  promise() {
    return new Promise((resolve, reject) => this.#promised.push({ resolve, reject }));
  }

  settle(error) {
    for (const { resolve, reject } of this.#promised.splice(0)) error ? reject(error) : resolve();
  }
}

/** Tells when signs of life stay away; a page that slept may read what came meanwhile. */
class Watchdog {
  #due;
  #timer;
  #silent;
  #slept;

  constructor(seconds, silent, slept) {
    this.#silent = silent;
    this.#slept = slept;
    this.expect(seconds);
  }

  /** The next sign of life is due in so many seconds, even if it was due later. */
  expect(seconds) {
    this.heard(seconds);
    clearTimeout(this.#timer);
    this.#arm();
  }

  /** There was one, the next is due in so many seconds; cheap, for it comes with every message. */
  heard(seconds) {
    this.#due = now() + seconds;
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #arm() {
    this.#timer = after(Math.max(this.#due - now(), 0), () => {
      const late = now() - this.#due;
      if (late < 0) this.#arm();
      else if (late < LATE) this.#silent();
      else this.#slept();
    });
  }
}

// Links, one for each connection:
//
//   request(command, then)   then(error, reply), unless the link ends before
//   probe()                  ends soon, unless there is a sign of life
//   close()                  ends without a word to the owner
//
// They call `owner.opened(hello)`, `owner.pushed(document)`, and at the end `owner.closed({ code, reason, ... })`.

/** The protocol on a WebSocket. */
class SocketLink {
  #owner;
  #socket;
  #watchdog;
  #grace;
  #patience;
  #pending = new Map();
  #lastId = 0;

  constructor(owner, { url, settings }) {
    this.#owner = owner;
    this.#grace = settings.grace;
    this.#patience = PING + settings.grace;
    const target = new URL("connect", url);
    target.search = url.search;
    target.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(target.href, [SUBPROTOCOL]);
    this.#socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
    this.#watchdog = new Watchdog(settings.handshakeTimeout, () => this.#end(OFFLINE, "silent"), () => this.probe());
  }

  request(command, then) {
    const id = ++this.#lastId;
    this.#pending.set(id, then);
    this.#socket.send(JSON.stringify({ id, ...command }));
  }

  probe() {
    if (this.#socket.readyState === 1) this.request({ op: "ping" }, () => {});
    this.#watchdog.expect(PROBE);
  }

  close() {
    this.#watchdog.stop();
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
  }

  #heard(document) {
    const { push, ping, id } = document;
    if (push === "hello") this.#patience = (ping ?? PING) + this.#grace;
    this.#watchdog.heard(this.#patience);
    if (push === "hello") this.#owner.opened(document);
    else if (push) this.#owner.pushed(document);
    else {
      const then = this.#pending.get(id);
      this.#pending.delete(id);
      then?.(document.error && new PushError(document.error.text, document.error), document);
    }
  }

  #end(code, reason) {
    this.close();
    this.#owner.closed({ code, reason });
  }
}

/** A request by fetch for each channel, and what its refusal means. */
class FetchLink {
  #abort = new Map();
  #ended = false;

  constructor(owner, { url, settings, token }) {
    Object.assign(this, { owner, url, settings, token, retryAfter: 0 });
    this.#begin();
  }

  request({ op, channel, since, filter }, then) {
    if (op === "subscribe") this.#subscribe({ channel, since, filter: filter && JSON.stringify(filter) }, then);
    else if (op === "unsubscribe") this.#unsubscribe(channel, then);
    else then(new PushError("not allowed", { code: NOT_ALLOWED, detail: `${op} takes a WebSocket` }));
  }

  probe() {} // nothing can be asked on a stream

  close() {
    this.#ended = true;
    for (const abort of this.#abort.values()) abort.abort();
  }

  end(how) {
    if (this.#ended) return;
    this.close();
    this.owner.closed({ code: OFFLINE, reason: "", retryAfter: this.retryAfter, ...how });
  }

  /** What `read` makes of the answer to GET `path`, within `seconds`. */
  async get(path, { accept, query = {}, abort = new AbortController(), seconds, read = (answer) => answer }) {
    const target = new URL(path, this.url);
    target.search = this.url.search;
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, value);
    const headers = { Accept: accept, ...(this.token && { Authorization: `Bearer ${this.token}` }) };
    const timer = after(seconds, () => abort.abort());
    try {
      return await read(await fetch(target, { headers, cache: "no-store", signal: abort.signal }));
    } finally {
      clearTimeout(timer);
    }
  }

  // There may be nothing to follow yet.
  async #begin() {
    try {
      const answer = await this.get("status", { accept: "application/json", seconds: this.settings.handshakeTimeout });
      if (this.#ended) return;
      if (answer.ok) this.owner.opened({});
      else await this.#refused(answer, ({ message }) => this.end({ code: 4500, reason: message }));
    } catch {
      this.end();
    }
  }

  async #subscribe(what, then) {
    const abort = new AbortController();
    this.#abort.set(what.channel, abort);
    const wanted = () => this.#abort.get(what.channel) === abort;
    try {
      const refused = await this.follow(what, abort, () => wanted() && then(null, {}));
      if (refused && wanted()) return await this.#refused(refused, then);
    } catch {
      // the network, or our own abort
    }
    if (wanted()) this.end();
  }

  #unsubscribe(channel, then) {
    const abort = this.#abort.get(channel);
    this.#abort.delete(channel);
    abort?.abort();
    then(null, {});
  }

  async #refused(answer, then) {
    const { status, headers } = answer;
    const reason = await answer.json().then(({ error }) => String(error), () => `HTTP status ${status}`);
    if (status === 401) this.end({ unauthorized: true, reason });
    else if (status === 429 || status >= 500) this.end({ reason, retryAfter: Number(headers.get("retry-after")) || 0 });
    else then(new PushError(reason, { code: { 403: NOT_ALLOWED, 404: UNKNOWN_CHANNEL }[status] ?? BAD_REQUEST }));
  }
}

/** Server-sent events, read by fetch, which can show a token. */
class StreamLink extends FetchLink {
  async follow({ channel, ...query }, abort, live) {
    const { handshakeTimeout, grace } = this.settings;
    const path = `stream/${encodeURIComponent(channel)}`;
    const answer = await this.get(path, { accept: "text/event-stream", query, abort, seconds: handshakeTimeout });
    if (!answer.ok) return answer;
    let begun = false;
    // there are bytes at once, unless something between gathers them
    const silent = () => this.end({ reason: "silent", blocked: !begun });
    const watchdog = new Watchdog(handshakeTimeout, silent, () => watchdog.expect(PROBE));
    const read = eventReader((event) => this.#take(channel, event));
    try {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return undefined;
        watchdog.heard(PING + grace);
        if (!begun) live();
        begun = true;
        read(value);
      }
    } finally {
      watchdog.stop();
    }
  }

  #take(channel, { event, id, data, retry }) {
    if (retry) this.retryAfter = retry / 1000;
    if (data === undefined) {
      if (id) this.owner.pushed({ push: "position", channel, position: id });
    } else if (event === "gap") this.owner.pushed({ push: "gap", channel, ...JSON.parse(data) });
    else if (!event || event === "binary") {
      const key = id.slice(id.lastIndexOf("-") + 1);
      this.owner.pushed({ push: "message", channel, position: id, key, data, base64: event === "binary" });
    }
  }
}

/** Takes pieces of an event stream (HTML standard); `take` gets the fields of each block. */
function eventReader(take) {
  let rest = "";
  let fields = {};
  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line === "") {
        take(fields);
        fields = {};
      } else if (name === "data") fields.data = fields.data === undefined ? value : `${fields.data}\n${value}`;
      else if (name) fields[name] = value;
    }
  };
}

/** Long polls: one request after the other, each from where the one before left off. */
class PollLink extends FetchLink {
  async follow({ channel, since, filter }, abort, live) {
    const path = `stream/${encodeURIComponent(channel)}`;
    const read = async (answer) => ({ answer, news: answer.ok && (await answer.json()) });
    live(); // an answer may take long, and then nothing was missed
    for (;;) {
      const asked = now();
      const query = { since, filter };
      const seconds = PING + this.settings.grace;
      const { answer, news } = await this.get(path, { accept: "application/json", query, abort, seconds, read });
      if (!news) return answer;
      if (news.gap) this.owner.pushed({ push: "gap", channel, lost: null });
      for (const message of news.messages) this.owner.pushed({ push: "message", channel, ...message });
      this.owner.pushed({ push: "position", channel, position: news.position });
      since = news.position;
      const pause = news.messages.length ? 0 : asked + 1 - now();
      if (pause > 0) await new Promise((resume) => after(pause, resume));
    }
  }
}

const LINKS = { websocket: SocketLink, sse: StreamLink, poll: PollLink };

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64(data) {
  if (!(data instanceof Uint8Array || data instanceof ArrayBuffer)) throw new TypeError("data has to be text or bytes");
  let text = "";
  for (const byte of new Uint8Array(data)) text += String.fromCharCode(byte);
  return btoa(text);
}

/** One channel, or all that begin alike where its name ends in `*`; made by `Client.subscribe`. */
export class Subscription extends Emitter {
  #client;
  #wanted;
  #positions = new Map();
  #keys = new Set();
  #mark;
  #waiting = new Waiting();
  #before = false; // whether it was subscribed before, and may have missed something
  _failures = 0;

  constructor(client, channel, { since, ...wanted }) {
    super();
    this.#client = client;
    this.#wanted = wanted;
    this.channel = channel;
    this.pattern = channel.endsWith("*");
    this.state = "unsubscribed";
    this._resume(typeof since === "string" ? { [channel]: since } : since);
  }

  get position() {
    return this.pattern && this.#positions.size ? this._positions() : this.#positions.get(this.channel);
  }

  ready() {
    if (this.state === "subscribed") return Promise.resolve();
    if (this.state === "unsubscribed") return Promise.reject(new PushError("unsubscribed"));
    return this.#waiting.promise();
  }

  unsubscribe() {
    this.#client._forget(this);
    this._end();
  }

  _follows(channel) {
    return this.pattern ? channel.startsWith(this.channel.slice(0, -1)) : channel === this.channel;
  }

  _positions() {
    return Object.fromEntries(this.#positions);
  }

  _resume(positions) {
    for (const [channel, position] of Object.entries(positions ?? {})) this.#positions.set(channel, position);
  }

  // What a pattern has under its own name stands for the channels without a position of their own. It goes on behind
  // the others: to where they were a while ago, and to the one that was silent for longest when there are too many.
  #advance(channel, position) {
    const all = this.#positions;
    all.delete(channel);
    all.set(channel, position);
    if (!this.pattern) return;
    if (now() - this.#mark.at > SETTLED) {
      if (this.#mark.position) all.set(this.channel, this.#mark.position);
      this.#mark = { position, at: now() };
    }
    if (all.size <= CHANNELS) return;
    const [[name, oldest]] = [...all].filter(([name]) => name !== this.channel);
    all.delete(name);
    all.set(this.channel, oldest);
  }

  _command() {
    return { op: "subscribe", channel: this.channel, since: this.position, ...this.#wanted };
  }

  _enter(state, more) {
    if (state === this.state) return;
    this.state = state;
    this._emit("state", { state, ...more });
  }

  _subscribed({ position, recovered }) {
    this._failures = 0;
    const missed = this.#before && !this.#positions.size;
    this.#before = true;
    this.#mark = { at: now() };
    // a pattern's is the newest of all channels, of which older messages may follow
    if (position && !(this.pattern && this.#positions.size)) this.#positions.set(this.channel, position);
    this._enter("subscribed", { recovered });
    if (missed) this._emit("gap", { channel: this.channel, lost: null });
    this._settle();
  }

  _take({ push, channel, position, ...more }) {
    if (this.state !== "subscribed") return; // of a subscription before this one
    if (position) this.#advance(channel, position);
    if (push === "message") this.#message(channel, position, more);
    else if (push === "unsubscribed") this.#client._dismissed(this, more.error);
    else if (push !== "position") this._emit(push, { channel, ...more });
  }

  #message(channel, position, { key, data, base64 }) {
    const known = channel + key;
    if (this.#keys.has(known)) return;
    this.#keys.add(known);
    if (this.#keys.size > KEYS) this.#keys.delete(this.#keys.values().next().value);
    this._emit("message", { channel, position, key, data: base64 ? fromBase64(data) : data });
  }

  _settle(error) {
    this.#waiting.settle(error);
  }

  _end(error) {
    this._enter("unsubscribed", error && { error });
    this._settle(error ?? new PushError("unsubscribed"));
  }
}

/** A connection to a gateway that is made again whenever it is lost. */
export class Client extends Emitter {
  #url;
  #settings;
  #state = "disconnected";
  #subscriptions = new Map();
  #waiting = new Waiting();

  #link = null;
  #opened = false; // whether the gateway has answered on the link
  #turn = 0; // goes on with every decision; what was awaited before it is let go
  #failures = 0;
  #connectedAt = 0;
  #retry = null;
  #comeBackAt = 0;
  #index = 0; // of the transport in use
  #best = -1; // of the one that worked last

  #token = null;
  #tokenUntil = 0;
  #expired = false; // the last token had, and none was accepted since
  #renewing = false;
  #renewal;

  #queue = [];
  #underWay = new Set();
  #written = []; // when the last frames were
  #timers = new Set();
  #pacing;
  #maxBytes = Infinity;

  #page = {
    online: () => this.#hurry(),
    offline: () => this.#link?.probe(),
    visibilitychange: () => this.#look(),
    pageshow: () => this.#look(),
    pagehide: () => this.#pause(),
  };
  #hidden;
  #paused = false;
  #saving = null;

  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("ws", "http");
    if (!this.#url.pathname.endsWith("/")) this.#url.pathname += "/";
    this.#settings = { ...DEFAULTS, ...options };
    known("option", Object.keys(options), DEFAULTS);
    known("transport", this.#settings.transports, LINKS);
    this.#best = this.#settings.transports.indexOf(this.#saved().transport);
  }

  get state() {
    return this.#state;
  }

  get transport() {
    return this.#state === "connected" ? this.#settings.transports[this.#index] : null;
  }

  connect() {
    if (this.#state !== "disconnected") return this;
    for (const [type, react] of Object.entries(this.#page)) globalThis.addEventListener?.(type, react);
    this.#failures = 0;
    this.#try();
    return this;
  }

  disconnect() {
    this.#stop(new PushError("disconnected"));
  }

  ready() {
    if (this.#state === "connected") return Promise.resolve();
    if (this.#state === "disconnected") return Promise.reject(new PushError("disconnected"));
    return this.#waiting.promise();
  }

  // Channels

  subscribe(channel, options = {}) {
    known("option", Object.keys(options), { since: 0, filter: 0, presence: 0 });
    if (this.#subscriptions.has(channel)) throw new PushError("already subscribed", { detail: channel });
    const subscription = new Subscription(this, channel, options);
    subscription._resume(this.#saved().positions?.[channel]);
    this.#subscriptions.set(channel, subscription);
    subscription._enter("subscribing");
    if (this.#state === "connected") this.#follow(subscription);
    return subscription;
  }

  _forget({ channel, state }) {
    this.#subscriptions.delete(channel);
    if (state !== "unsubscribed" && this.#state === "connected") this.#ask({ op: "unsubscribe", channel }, () => {});
  }

  _dismissed(subscription, { text, ...error }) {
    this.#subscriptions.delete(subscription.channel);
    subscription._end(new PushError(text, error));
  }

  #follow(subscription) {
    this.#demand(subscription._command(), (error, reply) => {
      if (this.#subscriptions.get(subscription.channel) !== subscription) return;
      if (!error) {
        this.#expired = false;
        subscription._subscribed(reply);
      } else if (error.temporary || error.code === TOKEN_EXPIRED) this.#followLater(subscription, error);
      else {
        this.#subscriptions.delete(subscription.channel);
        subscription._end(error);
      }
    });
  }

  #followLater(subscription, error) {
    if (error.code === TOKEN_EXPIRED) this.#renew("expired");
    this.#later(this.#delay(subscription._failures++), () => {
      if (this.#subscriptions.get(subscription.channel) === subscription) this.#follow(subscription);
    });
  }

  // What asks for an answer

  publish(channel, data) {
    const body = typeof data === "string" ? { data } : { data: toBase64(data), base64: true };
    return this.#order({ op: "publish", channel, ...body }).then(() => {});
  }

  presence(channel) {
    return this.#order({ op: "presence", channel }).then(({ count, clients }) => ({ count, clients }));
  }

  #order(command) {
    return new Promise((resolve, reject) => {
      const { maxQueue } = this.#settings;
      if (this.#state === "disconnected") reject(new PushError("disconnected"));
      else if (this.#queue.length >= maxQueue) {
        reject(new PushError("too many requests waiting", { temporary: true, detail: `at most ${maxQueue}` }));
      } else {
        this.#queue.push({ command, resolve, reject });
        this.#flush();
      }
    });
  }

  #flush() {
    while (this.#state === "connected" && this.#queue.length && this.#underWay.size < UNDER_WAY) {
      const pause = this.#written.length < FRAMES ? 0 : this.#written[0] + FRAMES_IN - now();
      if (pause > 0) {
        clearTimeout(this.#pacing);
        this.#pacing = after(pause, () => this.#flush());
        return;
      }
      this.#send(this.#queue.shift());
    }
  }

  #send(order) {
    const { command, resolve, reject } = order;
    const size = new TextEncoder().encode(JSON.stringify({ id: Number.MAX_SAFE_INTEGER, ...command })).length;
    if (size > this.#maxBytes) {
      return reject(new PushError("too large", { detail: `${size} bytes, the gateway takes ${this.#maxBytes}` }));
    }
    order.settle = (error, reply) => {
      clearTimeout(timer);
      if (!this.#underWay.delete(order)) return;
      error ? reject(error) : resolve(reply);
      this.#flush();
    };
    const timer = after(this.#settings.timeout, () => order.settle(unanswered("no answer")));
    this.#underWay.add(order);
    this.#ask(command, order.settle);
  }

  #ask(command, then) {
    if (this.#written.push(now()) > FRAMES) this.#written.shift();
    this.#link.request(command, then);
  }

  /** Ask what the connection cannot do without. */
  #demand(command, then) {
    const timer = this.#later(this.#settings.timeout, () => this.#lost({ code: OFFLINE, reason: "no answer" }));
    this.#ask(command, (error, reply) => {
      clearTimeout(timer);
      then(error, reply);
    });
  }

  /** A timer that ends with the connection. */
  #later(seconds, work) {
    const timer = after(seconds, () => {
      this.#timers.delete(timer);
      work();
    });
    this.#timers.add(timer);
    return timer;
  }

  // Connecting

  async #try(reason = "connect") {
    const turn = this.#letGo();
    this.#paused = false;
    this.#enter("connecting");
    if (this.#settings.getToken && (!this.#token || now() >= this.#tokenUntil)) {
      if (!(await this.#fetchToken(reason, turn, () => this.#wait()))) return;
    }
    const first = this.#failures < FAILURES ? this.#best : 0;
    this.#open(Math.max(first, 0));
  }

  #open(index) {
    this.#index = index;
    this.#opened = false;
    const Link = LINKS[this.#settings.transports[index]];
    const turn = this.#turn; // a link that was let go may still be reading
    const owner = {
      opened: (hello) => turn === this.#turn && this.#greeted(hello),
      pushed: (document) => turn === this.#turn && this.#take(document),
      closed: (how) => turn === this.#turn && this.#lost(how),
    };
    try {
      this.#link = new Link(owner, { url: this.#url, settings: this.#settings, token: this.#token });
    } catch (error) {
      this.#link = null; // no WebSocket here, or none to this address
      this.#lost({ code: OFFLINE, reason: String(error) });
    }
  }

  #greeted({ auth = "none", max_bytes: maxBytes = Infinity }) {
    this.#opened = true;
    this.#maxBytes = maxBytes;
    if (auth === "none" || (auth === "optional" && !this.#token)) this.#connected();
    else if (this.#token) this.#authenticate(() => this.#connected());
    else this.#stop(unauthorized("the gateway wants a token, see getToken"));
  }

  #connected() {
    // a fallback may work while a WebSocket does not: that makes it no better
    if (this.#best < 0 || this.#index < this.#best) this.#best = this.#index;
    this.#connectedAt = now();
    this.#state = "connected"; // all is asked for before anybody hears of it
    for (const subscription of this.#subscriptions.values()) this.#follow(subscription);
    this._emit("state", { state: "connected", transport: this.transport });
    this.#waiting.settle();
    this.#flush();
    this.#saveSoon();
  }

  #take(document) {
    const { push, channel } = document;
    if (push === "drain") this.#leaveIn(document.seconds);
    else if (push === "expiring") this.#renew("refresh");
    else if (channel !== undefined) {
      for (const subscription of [...this.#subscriptions.values()]) {
        if (subscription._follows(channel)) subscription._take(document);
      }
      this.#saveSoon();
    }
  }

  // The gateway goes away, and says when to come back.
  #leaveIn(seconds) {
    this.#comeBackAt = now() + seconds;
    this.#later(seconds, () => this.#lost({ code: 1012, reason: "drain" }));
  }

  #lost({ code, reason, retryAfter = 0, blocked = false, unauthorized = false }) {
    const wasConnected = this.#state === "connected";
    const opened = this.#opened && !blocked;
    const drained = this.#comeBackAt - now();
    this.#letGo();
    if (blocked && this.#best === this.#index) this.#best = -1;
    if (unauthorized) return this.#tryNewToken(reason);
    if (code === EXPIRED) this.#token = null;
    if (!invitesBack(code)) return this.#stop(new PushError(reason || "closed", { code }));
    const trusted = this.#best >= 0 && this.#failures < FAILURES;
    if (!opened && !trusted && this.#index + 1 < this.#settings.transports.length) {
      if (wasConnected) this.#enter("connecting", { code, reason });
      return this.#open(this.#index + 1);
    }
    if (wasConnected && now() - this.#connectedAt >= this.#settings.stableAfter) this.#failures = 0;
    return this.#wait({ code, reason, least: Math.max(retryAfter, drained) });
  }

  /** Drop the link and all timers of the connection; the number of the turn that begins. */
  #letGo() {
    this.#link?.close();
    this.#link = null;
    if (this.#state === "connected") this.#state = "connecting";
    for (const timer of [this.#retry, this.#renewal, this.#pacing, ...this.#timers]) clearTimeout(timer);
    this.#timers.clear();
    this.#retry = null;
    this.#comeBackAt = 0;
    for (const order of [...this.#underWay]) {
      order.settle(unanswered("connection lost"));
    }
    return ++this.#turn;
  }

  // Full jitter: all pages come back after a restart, but not at once.
  #delay(failures) {
    const { minDelay, maxDelay } = this.#settings;
    return minDelay + Math.random() * (Math.min(maxDelay, minDelay * 2 ** (failures + 1)) - minDelay);
  }

  #wait({ code = 0, reason = "", least = 0 } = {}) {
    const seconds = Math.max(this.#delay(this.#failures++), least);
    this.#retry = after(seconds, () => this.#try(code === EXPIRED ? "expired" : "connect"));
    this.#enter("connecting", { code, reason, seconds });
  }

  #stop(error) {
    if (this.#state === "disconnected") return;
    this.#letGo();
    clearTimeout(this.#hidden);
    for (const [type, react] of Object.entries(this.#page)) globalThis.removeEventListener?.(type, react);
    this.#save();
    for (const subscription of this.#subscriptions.values()) subscription._settle(error);
    for (const order of this.#queue.splice(0)) order.reject(error);
    this.#enter("disconnected", { code: error.code, reason: error.message });
    this.#waiting.settle(error);
    if (error.code) this._emit("error", error);
  }

  #enter(state, more = {}) {
    this.#state = state;
    for (const subscription of this.#subscriptions.values()) subscription._enter("subscribing");
    this._emit("state", { state, ...more });
  }

  // The page

  #look() {
    clearTimeout(this.#hidden);
    if (globalThis.document?.visibilityState === "hidden") {
      this.#save();
      const { hiddenTimeout } = this.#settings;
      if (hiddenTimeout < Infinity) this.#hidden = after(hiddenTimeout, () => this.#pause());
    } else this.#hurry();
  }

  // No reason to wait any longer, or to believe that all went well meanwhile.
  #hurry() {
    if (this.#retry !== null || this.#paused) this.#try();
    else this.#link?.probe();
  }

  // Nobody looks: without a connection the browser can keep the page as it is.
  #pause() {
    clearTimeout(this.#hidden);
    this.#save();
    this.#letGo();
    this.#paused = true;
    this.#enter("connecting", { reason: "hidden" });
  }

  // Tokens

  /** Whether there is a new token, and it is still wanted. */
  async #fetchToken(reason, turn, failed) {
    const { getToken, timeout } = this.#settings;
    let timer;
    const late = new Promise((_, reject) => {
      timer = after(timeout, () => reject(new PushError("getToken takes too long", { temporary: true })));
    });
    try {
      const token = await Promise.race([getToken(reason), late]);
      if (turn !== this.#turn) return false;
      this.#token = token;
      this.#tokenUntil = Infinity;
      if (!token) this.#stop(unauthorized("getToken gave no token"));
      return Boolean(token);
    } catch (error) {
      if (turn !== this.#turn) return false;
      this._emit("error", error);
      failed();
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  #authenticate(then) {
    this.#demand({ op: "auth", token: this.#token }, (error, reply) => {
      if (!error) {
        this.#expired = false;
        this.#renewBefore(reply.expires);
        then();
      } else if (error.code === TOKEN_EXPIRED) this.#tryNewToken(error.message);
      else if (error.temporary) this.#lost({ code: OFFLINE, reason: error.message });
      else this.#stop(error);
    });
  }

  // Once, for whoever gives out expired tokens would be asked for ever.
  #tryNewToken(reason) {
    this.#token = null;
    if (!this.#settings.getToken) return this.#stop(unauthorized(reason));
    if (this.#expired) return this.#stop(new PushError(reason || "token expired", { code: TOKEN_EXPIRED }));
    this.#expired = true;
    return this.#try("expired");
  }

  #renewBefore(expires) {
    clearTimeout(this.#renewal);
    if (typeof expires !== "number") return;
    const seconds = Math.max(expires - Math.min(MARGIN, expires / 5), 1);
    this.#tokenUntil = now() + seconds;
    this.#renewal = after(seconds, () => this.#renew("refresh"));
  }

  /** A new token for the connection as it is. */
  async #renew(reason) {
    if (this.#renewing || !this.#settings.getToken) return;
    this.#renewing = true;
    clearTimeout(this.#renewal);
    const again = () => (this.#renewal = after(this.#delay(FAILURES), () => this.#renew(reason)));
    const renewed = await this.#fetchToken(reason, this.#turn, again);
    this.#renewing = false;
    if (renewed && this.#state === "connected") this.#authenticate(() => {});
  }

  // What outlives the page

  #saved() {
    try {
      return JSON.parse(this.#settings.storage?.getItem(this.#key)) ?? {};
    } catch {
      return {};
    }
  }

  get #key() {
    return `nsqgw ${this.#url}`;
  }

  #saveSoon() {
    if (this.#settings.storage) this.#saving ??= after(1, () => this.#save());
  }

  #save() {
    clearTimeout(this.#saving);
    this.#saving = null;
    if (!this.#settings.storage) return;
    const positions = {};
    for (const [channel, subscription] of this.#subscriptions) positions[channel] = subscription._positions();
    const transport = this.#settings.transports[this.#best];
    try {
      this.#settings.storage.setItem(this.#key, JSON.stringify({ transport, positions }));
    } catch (error) {
      this._emit("error", error); // it is full, or may not be written to
    }
  }
}

function known(kind, names, there) {
  const stranger = names.find((name) => !Object.hasOwn(there, name));
  const all = Object.keys(there).join(", ");
  if (stranger !== undefined) throw new TypeError(`there is no ${kind} ${stranger}; there are ${all}`);
}
