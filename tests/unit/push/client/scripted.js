// A clock to turn, and WebSockets and a fetch whose far side is the test. Installed over the globals of this process.

import { setImmediate } from "node:timers/promises";

/** Time stands still but for `advance`; chance gives always the middle. */
export const clock = {
  now: 0,
  chance: 0.5,
  timers: new Map(),
  lastTimer: 0,

  install() {
    this.now = 0;
    this.chance = 0.5;
    this.timers.clear();
    globalThis.setTimeout = (work, ms = 0) => {
      this.timers.set(++this.lastTimer, { at: this.now + ms / 1000, work });
      return this.lastTimer;
    };
    globalThis.clearTimeout = (timer) => this.timers.delete(timer);
    Object.defineProperty(globalThis, "performance", { value: { now: () => this.now * 1000 }, configurable: true, writable: true });
    Math.random = () => this.chance;
    globalThis.WebSocket = ScriptedSocket;
    globalThis.fetch = (...request) => fetching(...request);
    ScriptedSocket.all.length = 0;
    page.listeners = {};
    globalThis.addEventListener = (type, react) => (page.listeners[type] = react);
    globalThis.removeEventListener = (type) => delete page.listeners[type];
    globalThis.document = { baseURI: "https://push.example.org/app/page.html", visibilityState: "visible" };
  },

  /** Run everything that is due within `seconds`, in order. */
  async advance(seconds) {
    const end = this.now + seconds;
    await settled();
    for (;;) {
      const [id, next] = [...this.timers].reduce((first, one) => (one[1].at < first[1].at ? one : first), [0, { at: Infinity }]);
      if (next.at > end + 1e-9) break;
      this.now = Math.max(this.now, next.at);
      this.timers.delete(id);
      next.work();
      await settled();
    }
    this.now = end;
  },

  /** The process stands still, as in a laptop that sleeps; what was due runs late. */
  async sleep(seconds) {
    this.now += seconds;
    await this.advance(0);
  },
};

export const settled = () => setImmediate();

export const page = {
  listeners: {},
  fire: (type) => page.listeners[type]?.({}),
  show(state) {
    document.visibilityState = state;
    page.fire("visibilitychange");
  },
};

/** What `fetch` does; a test sets it. By default there is nobody. */
let fetching;
export function answerFetch(answer = () => Promise.reject(new TypeError("nobody listens"))) {
  fetching = async (url, options) => answer(new URL(url), options);
}
answerFetch();

export class ScriptedSocket {
  static all = [];
  static get last() {
    return this.all.at(-1);
  }

  readyState = 0;
  sent = [];
  closedWith = null;

  constructor(url, subprotocols) {
    Object.assign(this, { url, subprotocols });
    ScriptedSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.readyState = 3;
    this.closedWith ??= code;
  }

  // the gateway's side

  greet(hello = {}) {
    this.readyState = 1;
    this.say({ push: "hello", version: 1, client: "me", auth: "none", ping: 25, max_channels: 128, max_bytes: 65536, ...hello });
  }

  say(document) {
    this.onmessage?.({ data: JSON.stringify(document) });
  }

  /** The commands of this name, from the oldest. */
  asked(op) {
    return this.sent.filter((command) => command.op === op);
  }

  answer(op, reply = {}) {
    const { id, channel } = this.asked(op).at(-1);
    this.say(reply.error ? { id, ...reply } : { id, ok: op, channel, ...reply });
  }

  message(channel, number, more = {}) {
    this.say({ push: "message", channel, position: `here-${number}`, key: `k${number}`, data: `message ${number}`, ...more });
  }

  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

/** All events of these types, as [type, event], in the order they came. */
export function record(emitter, ...types) {
  const seen = [];
  for (const type of types) emitter.on(type, (event) => seen.push([type, event]));
  return seen;
}
