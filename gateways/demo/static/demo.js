// The demo's page: plots the topic `figures` and scrolls the topic `logs`.

import * as network from "./network.js"; // first: what follows uses the WebSocket that it makes
import { client, showState } from "./connection.js";
import { plot } from "./plot.js";
import { watchLosses } from "./losses.js";

const LINES_KEPT = 300;
const RATE_OVER = 2; // seconds over which messages are counted for their rate
const CUT = 5; // seconds without a network

const shown = (id) => document.getElementById(id);
const percent = (value) => `${Math.round(value)} %`;
const milliseconds = (value) => `${Math.round(value)} ms`;
const perSecond = (value) => `${bytes(value)}/s`;

const plots = {
  cpu: plot(shown("cpu-plot"), { ceiling: 25, label: percent }),
  memory: plot(shown("memory-plot"), { ceiling: 100, label: percent }),
  network: plot(shown("network-plot"), { series: ["--accent", "--second"], ceiling: 1000, label: perSecond }),
  rate: plot(shown("rate-plot"), { ceiling: 5, label: (value) => `${Math.ceil(value)}/s` }),
  latency: plot(shown("latency-plot"), { ceiling: 20, label: milliseconds }),
};

const figures = client.subscribe("figures").on("message", ({ data }) => takeFigures(JSON.parse(data)));
const logs = client.subscribe("logs", { since: "oldest" }).on("message", ({ data }) => takeRecord(JSON.parse(data)));
const losses = watchLosses([figures, logs], (count) => {
  for (const name of ["received", "recovered", "lost"]) shown(name).textContent = count[name]?.toLocaleString("en") ?? "some";
  if (count.last?.recovered) shown("resume").textContent = resumed(count.last);
});
showState(figures, shown("state"));
client.connect();

shown("cut").onclick = () => {
  shown("cut").disabled = true;
  shown("resume").textContent = `The network is cut, for ${CUT} seconds.`;
  network.cut(CUT, () => (shown("cut").disabled = false));
};

function resumed({ recovered, complete }) {
  return `Back: ${recovered} messages came afterwards, ${complete ? "none was lost" : "some were lost"}.`;
}

function takeFigures(figures) {
  losses.count(figures.time);
  showFigures(figures);
  // what is drawn now is on the screen with the next frame
  if (!losses.late(figures.time)) requestAnimationFrame(() => showLatency(figures.time));
}

function takeRecord(record) {
  losses.count(record.time);
  addLine(record);
}

function showLatency(time) {
  const latency = Math.max(0, Date.now() - time * 1000); // by two clocks, when the page is on another machine
  shown("latency").textContent = milliseconds(latency);
  plots.latency.add(time, latency);
}

function showFigures({ time, host, cpu, load, memory, network, demo }) {
  shown("host").textContent = `${host}, live through NSQ`;
  const used = (100 * memory.used) / memory.total;
  if (cpu !== null) {
    shown("cpu").textContent = percent(cpu);
    plots.cpu.add(time, cpu);
  }
  shown("load").textContent = load.map((value) => value.toFixed(2)).join("  ");
  shown("memory").textContent = percent(used);
  shown("memory-bytes").textContent = `${bytes(memory.used)} of ${bytes(memory.total)}`;
  plots.memory.add(time, used);
  shown("network").textContent = perSecond(network.received + network.sent);
  shown("loopback").textContent = perSecond(network.loopback);
  plots.network.add(time, network.received, network.sent);
  showProgress(time, demo);
}

const counts = []; // [time, published], for the rate

function showProgress(time, demo) {
  if (counts.length && demo.published < counts.at(-1)[1]) counts.length = 0; // another run of the demo
  counts.push([time, demo.published]);
  while (counts.length > 2 && counts[1][0] <= time - RATE_OVER) counts.shift();
  const [since, before] = counts[0];
  if (time - since > RATE_OVER / 2) {
    const rate = (demo.published - before) / (time - since);
    shown("rate").textContent = `${rate.toFixed(1)} /s`;
    plots.rate.add(time, rate);
  }
  for (const name of ["published", "shipped", "pushed"]) {
    shown(name).textContent = demo[name].toLocaleString("en");
  }
  shown("file").textContent = demo.file;
  shown("file-size").textContent = bytes(demo.file_bytes);
}

function addLine({ time, level, logger, text }) {
  const log = shown("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const line = document.createElement("li");
  line.append(
    part("time", new Date(time * 1000).toTimeString().slice(0, 8)),
    part("span", level, `level ${level}`),
    part("span", logger, "from"),
    part("span", text, "text"),
  );
  log.append(line);
  while (log.children.length > LINES_KEPT) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight; // not while somebody reads further up
}

// Text only, never markup: a message is data.
function part(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 1000 && power < units.length - 1) {
    count /= 1000;
    power += 1;
  }
  return `${count.toFixed(count < 10 && power ? 1 : 0)} ${units[power]}`;
}
