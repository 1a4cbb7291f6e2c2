// Follows a stream of the gateway over WebSocket, and comes back by itself when it is lost.
//
//   const stream = follow("events", { message(data) {...}, state(name, seconds) {...} });
//   stream.close();
//
// `data` is a string, or an ArrayBuffer where the message is no UTF-8. `state` is called with "connecting",
// "live", or "waiting" and the seconds until the next try.

const SHORTEST = 0.5;
const LONGEST = 20;
const STABLE = 5; // seconds a connection must last before the delays start anew

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
      state("live");
    };
    socket.onmessage = (event) => message(event.data);
    socket.onclose = () => {
      socket = null;
      if (closed) return;
      const lasted = openedAt === null ? 0 : (performance.now() - openedAt) / 1000;
      failures = lasted > STABLE ? 1 : failures + 1;
      wait();
    };
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
  element.textContent = name === "waiting" ? `back in ${Math.max(1, Math.round(seconds))} s` : name;
}
