// The gateway's pages and their connection: one client, what it shows of its state, and whether the gateway has nsqd.

import { Client } from "./nsqgw.js";

const STATUS_EVERY = 4;

// A token stands behind the `#` of the page's address, where it is sent to nobody.
export const token = new URLSearchParams(location.hash.slice(1)).get("token");

export const client = new Client(".", token === null ? {} : { getToken: () => token });

let state = { state: "connecting" };
let connected = {}; // what the gateway says about its nsqds, by topic
const shown = []; // [subscription, element]

client.on("state", (now) => {
  state = now;
  show();
  if (now.state === "connected") askStatus();
});

// Shows how `subscription` is doing in `element`: data-state for the style sheet, text for people.
export function showState(subscription, element) {
  shown.push([subscription, element]);
  subscription.on("state", show);
  show();
}

export async function ask(path) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const answer = await fetch(path, { headers, signal: AbortSignal.timeout(STATUS_EVERY * 1000) });
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error);
  return document;
}

function show() {
  for (const [subscription, element] of shown) {
    const [name, text] = told(subscription);
    element.dataset.state = name;
    element.textContent = text;
  }
}

function told(subscription) {
  if (state.state === "disconnected") return ["ended", state.reason];
  if (subscription.state === "unsubscribed") return ["ended", "refused"];
  if (state.seconds !== undefined) return ["waiting", `back in ${Math.max(1, Math.round(state.seconds))} s`];
  if (subscription.state !== "subscribed") return ["connecting", "connecting"];
  return connected[subscription.channel] === false ? ["without nsqd", "waiting for nsqd"] : ["live", "live"];
}

// A connection tells nothing about nsqd: that is asked for, while somebody looks.
let asking = null;

async function askStatus() {
  clearTimeout(asking);
  asking = setTimeout(askStatus, STATUS_EVERY * 1000);
  if (client.state !== "connected" || document.visibilityState !== "visible") return;
  try {
    ({ connected } = await ask("status"));
    show();
  } catch {
    // the client notices by itself that the gateway is gone
  }
}
document.addEventListener("visibilitychange", askStatus);
