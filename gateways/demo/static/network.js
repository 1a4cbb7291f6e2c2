// A network that can be cut: all WebSockets and requests of this page go through it.

let down = false;
const open = new Set();
const { fetch } = globalThis;

globalThis.WebSocket = class extends WebSocket {
  constructor(...target) {
    super(...target);
    open.add(this);
    this.addEventListener("close", () => open.delete(this));
    if (down) this.close();
  }
};

globalThis.fetch = (...request) => (down ? Promise.reject(new TypeError("the network is cut")) : fetch(...request));

// Drop every connection and let none be made for so many seconds; then a device says "online", as phones do.
export function cut(seconds, then) {
  down = true;
  for (const socket of open) socket.close();
  setTimeout(() => {
    down = false;
    dispatchEvent(new Event("online"));
    then();
  }, seconds * 1000);
}
