// The gateway's own page: asks which topics there are and shows their messages, newest first.

import { ask, client, showState } from "./connection.js";

const KEPT = 300;
const SHOWN_CHARACTERS = 2000;

const list = document.getElementById("messages");
const pause = document.getElementById("pause");
let paused = false;

pause.onclick = () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
};
document.getElementById("clear").onclick = () => list.replaceChildren();

try {
  const { topics } = await ask("topics");
  for (const topic of topics) show(topic);
  client.connect();
} catch (error) {
  list.querySelector(".empty").textContent = `The gateway refuses: ${error.message}.`;
}

function show(topic) {
  const name = element("strong", topic);
  const state = element("span", "", "state");
  const count = element("span", "", "count");
  const row = element("div", "", "topic");
  row.append(name, state, count);
  document.getElementById("topics").append(row);

  let received = 0;
  const subscription = client.subscribe(topic);
  showState(subscription, state);
  subscription.on("message", ({ data }) => {
    received += 1;
    count.textContent = `${received.toLocaleString("en")} received`;
    if (!paused) add(element("span", topic, "from"), element("span", readable(data), "text"));
  });
  subscription.on("gap", ({ lost }) => {
    const text = lost === null ? "some messages are missing here" : `${lost.toLocaleString("en")} messages are missing here`;
    add(element("span", topic, "from"), element("em", text, "text"));
  });
}

function add(...parts) {
  list.querySelector(".empty")?.remove();
  const time = element("time", new Date().toTimeString().slice(0, 8));
  const line = element("li", "");
  line.append(time, ...parts);
  list.prepend(line);
  while (list.children.length > KEPT) list.lastChild.remove();
}

function readable(data) {
  if (typeof data === "string") return shortened(data, SHOWN_CHARACTERS);
  const bytes = Array.from(data.subarray(0, 64));
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `${data.byteLength} bytes: ${hex}${data.byteLength > 64 ? " …" : ""}`;
}

function shortened(text, length) {
  return text.length > length ? `${text.slice(0, length)} … (${text.length} characters)` : text;
}

// Text only, never markup: a message is data.
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}
