// A small line plot of the last minute on a canvas, in the colours of the style sheet.

const SPAN = 60; // seconds shown
const KEPT = 80; // seconds kept, so that a line leaves the plot and does not end inside it
const HEAD = 16; // pixels above the plot, where the top of the scale is said

// `series` names CSS colours, one a line; `ceiling` is the least top of the scale; `label` says a value.
export function plot(canvas, { series = ["--accent"], ceiling, label }) {
  const points = []; // [time, value, value ...]

  function add(time, ...values) {
    points.push([time, ...values]);
    while (points[0][0] < time - KEPT) points.shift();
    draw();
  }

  function draw() {
    if (!points.length || !canvas.clientWidth) return;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);

    const style = getComputedStyle(canvas);
    const now = points.at(-1)[0];
    const shown = points.filter(([time]) => time >= now - SPAN - 2);
    const top = Math.max(ceiling, ...shown.flatMap(([, ...values]) => values)) * 1.05;
    const x = (time) => width - ((now - time) / SPAN) * width;
    const y = (value) => height - 1 - (value / top) * (height - HEAD - 2);

    grid(pen, style, width, height);
    series.forEach((colour, index) => {
      line(pen, style.getPropertyValue(colour), shown, index + 1, { x, y, height });
    });
    pen.fillStyle = style.getPropertyValue("--soft");
    pen.font = `11px ${style.fontFamily}`;
    pen.textAlign = "right";
    pen.fillText(label(top / 1.05), width - 1, 11);
  }

  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return { add };
}

function grid(pen, style, width, height) {
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.lineWidth = 1;
  pen.beginPath();
  for (const part of [0, 0.5, 1]) {
    const level = HEAD + Math.floor((height - HEAD - 1) * part) + 0.5;
    pen.moveTo(0, level);
    pen.lineTo(width, level);
  }
  pen.stroke();
}

// A gap of more than two seconds, as after a lost connection, is left open.
function line(pen, colour, points, column, { x, y, height }) {
  for (const part of unbroken(points)) {
    pen.beginPath();
    part.forEach((point) => pen.lineTo(x(point[0]), y(point[column])));
    pen.strokeStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.stroke();
    if (column > 1) continue;
    pen.lineTo(x(part.at(-1)[0]), height);
    pen.lineTo(x(part[0][0]), height);
    pen.globalAlpha = 0.12;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }
}

function unbroken(points) {
  const parts = [];
  let last = -Infinity;
  for (const point of points) {
    if (point[0] - last > 2) parts.push([]);
    parts.at(-1).push(point);
    last = point[0];
  }
  return parts;
}
