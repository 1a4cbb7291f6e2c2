// Follows a stream of the gateway over WebSocket, and comes back by itself when it is lost.
//
//   const stream = follow("events", { message(data) {...}, state(name, seconds) {...} });
//   stream.close();
//
// `data` is a string, or an ArrayBuffer where the message is no UTF-8. `state` is called with "connecting",
// "live", "without nsqd" while the gateway has none for the topic, or "waiting" and the seconds until the next
// try.

const SHORTEST = 0.5;
const LONGEST = 20;
const STABLE = 5; // seconds a connection must last before the delays start anew
const STATUS_EVERY = 4;

const open = new Set(); // called with what the gateway says about its nsqds, one for each open stream
let asking = null;

// An open stream tells nothing about nsqd: that is asked for, once for all streams, while somebody looks.
async function askStatus() {
  clearTimeout(asking);
  asking = setTimeout(askStatus, STATUS_EVERY * 1000);
  if (open.size === 0 || document.visibilityState !== "visible") return;
  try {
    const answer = await fetch("status", { signal: AbortSignal.timeout(STATUS_EVERY * 1000) });
    const { connected } = await answer.json();
    for (const tell of open) tell(connected);
  } catch {
    // the streams notice by themselves that the gateway is gone
  }
}
document.addEventListener("visibilitychange", askStatus);

export function follow(topic, { message, state = () => {} }) {
  const url = new URL(`stream/${encodeURIComponent(topic)}`, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let socket = null;
  let failures = 0;
  let timer = null;
  let closed = false;

  function connect() {
    clearTimeout(timer);
    timer = null;
    state("connecting");
    let openedAt = null;
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      openedAt = performance.now();
      open.add(tell);
      askStatus();
    };
    socket.onmessage = (event) => message(event.data);
    socket.onclose = () => {
      socket = null;
      open.delete(tell);
      if (closed) return;
      const lasted = openedAt === null ? 0 : (performance.now() - openedAt) / 1000;
      failures = lasted > STABLE ? 1 : failures + 1;
      wait();
    };
  }

  function tell(connected) {
    state(connected[topic] ? "live" : "without nsqd");
  }

  // Full jitter: after a restart all pages come back, but not all at once.
  function wait() {
    const ceiling = Math.min(LONGEST, SHORTEST * 2 ** Math.min(failures, 10));
    const seconds = SHORTEST / 2 + Math.random() * (ceiling - SHORTEST / 2);
    timer = setTimeout(connect, seconds * 1000);
    state("waiting", seconds);
  }

  // Somebody looks at the page, or the network is back: no reason to wait any longer.
  function hurry() {
    if (timer !== null && document.visibilityState === "visible") connect();
  }
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);

  connect();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
      socket?.close();
    },
  };
}

// Shows a stream's state in `element`: its data-state for the style sheet, its text for people.
export function showState(element, name, seconds) {
  element.dataset.state = name;
  const texts = { waiting: `back in ${Math.max(1, Math.round(seconds))} s`, "without nsqd": "waiting for nsqd" };
  element.textContent = texts[name] ?? name;
}
