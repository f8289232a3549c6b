// The page of iod connect --ui. Everything that comes from the device is text here, never markup.

const $ = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
};

const keptPoints = 6000, shownRows = 100;
const curves = new Map();
let stream = {}, span = 300, paused = 0, cursor = null, seen = 0, behind = 0, ended = false;
let rate = []; // [time, messages]

// Numbers and times

const round = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const plain = new Intl.NumberFormat("en");
function show(v) {
  const a = Math.abs(v);
  if (a !== 0 && (a >= 1e9 || a < 1e-4)) return v.toExponential(3).replace("e+", "e");
  return round.format(v);
}
function bytes(n) {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let i = -1;
  do { n /= 1000; i++; } while (n >= 999.5 && i < units.length - 1);
  return `${n.toPrecision(3)} ${units[i]}`;
}
const two = (n) => String(n).padStart(2, "0");
function clock(ms, fine) {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${fine ? "." + String(d.getMilliseconds()).padStart(3, "0") : ""}`;
}
function when(ms) {
  const away = Math.abs(Date.now() - ms);
  return away < 12 * 3600e3 ? clock(ms) : `${new Date(ms).toLocaleDateString("en-CA")} ${clock(ms)}`;
}

// Curves

function title(c) { return c.name || c.topic || "value"; }

function addCurve(def) {
  const c = { ...def, t: [], v: [], stats: def.stats, dirty: true };
  const card = make("article", "curve");
  const head = make("header"), who = make("div", "who"), now = make("div", "now");
  c.heading = make("h3", "title", title(c));
  who.append(c.heading);
  if (c.name && c.topic && c.topic !== c.name) who.append(make("p", "topic", c.topic));
  c.value = make("b");
  c.when = make("span", "when");
  now.append(c.value, make("small", "", c.unit || ""), c.when);
  head.append(who, now);
  c.canvas = make("canvas");
  c.canvas.tabIndex = 0;
  c.canvas.setAttribute("role", "img");
  c.canvas.setAttribute("aria-describedby", "help");
  const facts = make("dl", "facts");
  c.facts = {};
  for (const [key, name] of [["min", "Lowest"], ["max", "Highest"], ["n", "Points"]]) {
    const d = make("div");
    c.facts[key] = make("dd");
    d.append(make("dt", "", name), c.facts[key]);
    facts.append(d);
  }
  card.append(head, c.canvas, facts);
  c.hue = `--h${curves.size % 6}`;
  c.canvas.addEventListener("pointermove", (e) => point(c, e));
  c.canvas.addEventListener("pointerdown", (e) => point(c, e));
  c.canvas.addEventListener("pointerleave", letGo);
  c.canvas.addEventListener("blur", letGo);
  c.canvas.addEventListener("keydown", (e) => step(c, e));
  curves.set(c.id, c);
  $("curves").append(card);
  $("curves-part").hidden = false;
  for (const p of def.points) insert(c, p);
  tellStats(c);
}

function insert(c, [t, v]) {
  let i = c.t.length;
  while (i > 0 && c.t[i - 1] > t) i--;
  if (i === c.t.length) {
    c.t.push(t);
    c.v.push(v);
  } else {
    c.t.splice(i, 0, t);
    c.v.splice(i, 0, v);
  }
  if (c.t.length > keptPoints) {
    c.t.splice(0, 1000);
    c.v.splice(0, 1000);
  }
  c.dirty = true;
}

function tellStats(c) {
  if (paused) return;
  c.facts.min.textContent = show(c.stats.min);
  c.facts.max.textContent = show(c.stats.max);
  c.facts.n.textContent = plain.format(c.stats.n);
  if (!cursor || cursor.c !== c) tellLast(c);
}

function tellLast(c) {
  const last = c.t.length - 1;
  c.value.textContent = show(c.stats.last);
  c.when.textContent = last < 0 ? "" : when(c.t[last]);
}

// The time at the right edge: now, or that of the newest point when a device is ahead.
function edge() {
  let end = paused || Date.now();
  for (const c of curves.values()) {
    const newest = c.t[c.t.length - 1] || 0;
    if (!paused && newest > end && newest < end + 3600e3) end = newest;
  }
  return end;
}

// first is the first point at or after a time.
function first(c, t) {
  let lo = 0, hi = c.t.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (c.t[mid] < t) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

function ticks(low, high, about) {
  const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw)), part = raw / power;
  const each = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  const out = [];
  for (let i = Math.ceil(low / each); i * each <= high; i++) out.push(i * each + 0); // -0 is 0
  return out;
}

const timeSteps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function draw(c, end) {
  const box = c.canvas.getBoundingClientRect();
  if (!box.width || box.bottom < -200 || box.top > innerHeight + 200) return;
  const scale = devicePixelRatio || 1, w = box.width, h = box.height;
  if (c.canvas.width !== Math.round(w * scale) || c.canvas.height !== Math.round(h * scale)) {
    c.canvas.width = Math.round(w * scale);
    c.canvas.height = Math.round(h * scale);
  }
  const g = c.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  g.font = `11px ${color("--mono")}`;
  const begin = end - span * 1000, from = Math.max(0, first(c, begin) - 1), to = Math.min(c.t.length, first(c, end + 1));
  let low = Infinity, high = -Infinity;
  for (let i = from; i < to; i++) {
    if (c.t[i] < begin) continue;
    if (c.v[i] < low) low = c.v[i];
    if (c.v[i] > high) high = c.v[i];
  }
  if (low > high) {
    g.fillStyle = color("--faint");
    g.textAlign = "center";
    const last = c.t[c.t.length - 1];
    g.fillText(last === undefined ? "no point yet" : `nothing in this time; the last point is of ${when(last)}`, w / 2, h / 2, w - 16);
    c.canvas.setAttribute("aria-label", `Curve of ${title(c)}: nothing in the time shown.`);
    return;
  }
  const [least, most] = [low, high];
  const margin = (high - low) * 0.1 || Math.abs(high) * 0.05 || 1;
  low -= margin;
  high += margin;
  // Axes
  const marks = ticks(low, high, 4), labels = marks.map(show);
  const left = Math.max(...labels.map((s) => g.measureText(s).width), 20) + 8, bottom = h - 18, top = 6, right = w - 6;
  const x = (t) => left + ((t - begin) / (end - begin)) * (right - left), y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
  g.lineWidth = 1;
  g.textBaseline = "middle";
  g.textAlign = "right";
  marks.forEach((m, i) => {
    const at = Math.round(y(m)) + 0.5;
    g.strokeStyle = color("--hair");
    g.beginPath();
    g.moveTo(left, at);
    g.lineTo(right, at);
    g.stroke();
    g.fillStyle = color("--faint");
    g.fillText(labels[i], left - 6, at);
  });
  const each = timeSteps.find((s) => (s / span) * (right - left) >= 78) || 3600, shift = new Date(end).getTimezoneOffset() * 60;
  g.textAlign = "center";
  for (let t = Math.ceil((begin / 1000 - shift) / each) * each + shift; t * 1000 <= end; t += each) {
    const at = Math.round(x(t * 1000)) + 0.5, label = each < 60 ? clock(t * 1000) : clock(t * 1000).slice(0, 5);
    g.strokeStyle = color("--hair");
    g.beginPath();
    g.moveTo(at, top);
    g.lineTo(at, bottom + 3);
    g.stroke();
    const half = g.measureText(label).width / 2;
    if (at - half >= 0 && at + half <= w) g.fillText(label, at, bottom + 11);
  }
  line(g, c, from, to, x, y, left, right, top, bottom, color(c.hue));
  if (cursor) crosshair(g, c, x, y, left, right, top, bottom, color);
  c.canvas.setAttribute("aria-label", `Curve of ${title(c)}: last ${show(c.stats.last)} ${c.unit || ""}, from ${show(least)} to ${show(most)} in the time shown.`);
}

function line(g, c, from, to, x, y, left, right, top, bottom, hue) {
  g.save();
  g.beginPath();
  g.rect(left, top - 4, right - left + 4, bottom - top + 8);
  g.clip();
  g.strokeStyle = g.fillStyle = hue;
  g.lineWidth = 1.8;
  g.lineJoin = "round";
  const n = to - from, gap = Math.max(3000, n > 2 ? (8 * (c.t[to - 1] - c.t[from])) / (n - 1) : Infinity);
  g.beginPath();
  let column = -1, lowest = 0, highest = 0;
  for (let i = from; i < to; i++) {
    const px = x(c.t[i]), py = y(c.v[i]), broken = i === from || c.t[i] - c.t[i - 1] > gap;
    if (!broken && n > 2 * (right - left) && Math.floor(px) === column) { // many points in one column: its extent is enough
      if (py >= lowest && py <= highest) continue;
      lowest = Math.min(lowest, py);
      highest = Math.max(highest, py);
    } else {
      column = Math.floor(px);
      lowest = highest = py;
    }
    if (broken) g.moveTo(px, py);
    else g.lineTo(px, py);
  }
  g.stroke();
  const dots = n <= (right - left) / 9;
  for (let i = dots ? from : to - 1; i < to; i++) {
    g.beginPath();
    g.arc(x(c.t[i]), y(c.v[i]), i === to - 1 ? 3.6 : 2.2, 0, 7);
    g.fill();
  }
  g.restore();
}

function crosshair(g, c, x, y, left, right, top, bottom, color) {
  const px = x(cursor.t);
  if (px < left || px > right) return;
  g.strokeStyle = color("--faint");
  g.setLineDash([3, 3]);
  g.beginPath();
  g.moveTo(px, top);
  g.lineTo(px, bottom);
  g.stroke();
  g.setLineDash([]);
  const i = nearest(c, cursor.t);
  if (i < 0) return;
  g.fillStyle = color("--card");
  g.strokeStyle = color(c.hue);
  g.lineWidth = 2;
  g.beginPath();
  g.arc(x(c.t[i]), y(c.v[i]), 4, 0, 7);
  g.fill();
  g.stroke();
}

function nearest(c, t) {
  const i = first(c, t);
  if (i === c.t.length || (i > 0 && t - c.t[i - 1] < c.t[i] - t)) return i - 1;
  return i;
}

// The cursor is at one time on all curves.

function point(c, e) {
  const box = c.canvas.getBoundingClientRect(), end = edge(), left = 40, right = box.width - 6;
  const part = (e.clientX - box.left - left) / (right - left), i = nearest(c, end - span * 1000 * (1 - part));
  if (i >= 0) put(c, i);
}

function put(c, i) {
  cursor = { c, t: c.t[i] };
  for (const other of curves.values()) {
    const j = nearest(other, cursor.t);
    if (j < 0) continue;
    other.value.textContent = show(other.v[j]);
    other.when.textContent = when(other.t[j]);
  }
  redraw();
}

function letGo() {
  if (!cursor) return;
  cursor = null;
  for (const c of curves.values()) tellLast(c);
  redraw();
}

function step(c, e) {
  const end = edge(), low = first(c, end - span * 1000), high = first(c, end + 1) - 1;
  if (high < low) return;
  const at = cursor && cursor.c === c ? nearest(c, cursor.t) : high + 1;
  const to = { ArrowLeft: Math.max(low, at - 1), ArrowRight: Math.min(high, at + 1), Home: low, End: high }[e.key];
  if (e.key === "Escape") letGo();
  else if (to !== undefined) {
    put(c, to);
    $("said").textContent = `${title(c)}: ${show(c.v[to])} ${c.unit || ""} at ${when(c.t[to])}`;
  } else return;
  e.preventDefault();
}

let planned = false;
function redraw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    const end = edge();
    for (const c of curves.values()) draw(c, end);
  });
}

// The list of messages

const forms = { senml: "SenML", json: "JSON", number: "number", text: "text", binary: "bytes" };

function row(m) {
  const tr = make("tr"), button = make("button");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.title = `${forms[m.form] || m.form}: show it whole`;
  if (m.text) button.append(make("bdi", "", m.text));
  else button.append(make("i", "", m.size ? "bytes that are no text" : "empty"));
  button.addEventListener("click", () => open(tr, button, m));
  const cells = [make("td", "t", clock(m.at, true)), make("td", "k"), make("td", "c"), make("td", "n", bytes(m.size))];
  cells[0].title = new Date(m.at).toString();
  cells[1].append(make("bdi", "", m.topic));
  cells[2].append(button);
  tr.append(...cells);
  return tr;
}

async function open(tr, button, m) {
  if (button.getAttribute("aria-expanded") === "true") {
    button.setAttribute("aria-expanded", "false");
    tr.raw.remove();
    return;
  }
  button.setAttribute("aria-expanded", "true");
  tr.raw = make("tr", "raw");
  const cell = make("td"), pre = make("pre", "", "…");
  cell.colSpan = 4;
  pre.tabIndex = 0;
  cell.append(pre);
  tr.raw.append(cell);
  tr.after(tr.raw);
  try {
    const answer = await fetch(`raw/${m.id}`), text = await answer.text();
    pre.textContent = m.form === "json" || m.form === "senml" ? pretty(text) : text;
  } catch {
    pre.textContent = "iod does not answer";
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function list(messages) {
  const fresh = messages.filter((m) => m.id > seen);
  if (!fresh.length) return;
  seen = fresh[fresh.length - 1].id;
  if (paused) {
    behind += fresh.length;
    waiting.push(...fresh);
    waiting = waiting.slice(-shownRows);
    return;
  }
  const rows = $("rows"), more = document.createDocumentFragment();
  for (const m of fresh.slice(-shownRows).reverse()) more.append(row(m));
  rows.prepend(more);
  let n = 0;
  for (const tr of [...rows.children]) {
    if (!tr.classList.contains("raw")) n++;
    if (n > shownRows) tr.remove();
  }
  $("list").hidden = false;
  $("empty").hidden = true;
}
let waiting = [];

// What the page says about itself

function about() {
  document.title = `${stream.name} · live`;
  $("name").textContent = stream.name;
  const what = $("what");
  what.replaceChildren();
  const say = (name, text) => {
    if (!text) return;
    if (what.childNodes.length) what.append(" · ");
    what.append(`${name} `, make("b", "", text));
  };
  say("measures", stream.data_type);
  say("in", stream.unit);
  say("over", stream.kind);
  say("on this machine at", stream.local);
  $("did").textContent = stream.did;
  const mqtt = stream.kind === "mqtt";
  $("bytes").hidden = mqtt;
  $("list-part").hidden = !mqtt;
}

function state(s) {
  ended = s.level === "end";
  $("state").className = `state ${s.level}`;
  $("state-text").textContent = $("state").title = s.text;
}

let totals = { messages: 0, bytes: 0 };
function tellTotals() {
  const now = Date.now();
  rate.push([now, totals.messages]);
  while (rate.length > 2 && rate[0][0] < now - 5000) rate.shift();
  const [t, n] = rate[0], each = now > t ? ((totals.messages - n) * 1000) / (now - t) : 0;
  if (stream.kind !== "mqtt") $("totals").textContent = paused ? "held" : "";
  else if (paused) $("totals").textContent = behind ? `held; ${plain.format(behind)} newer messages wait` : "held";
  else $("totals").textContent = `${plain.format(totals.messages)} messages · ${each < 10 ? each.toFixed(1) : Math.round(each)}/s · ${bytes(totals.bytes)}`;
  $("dropped").hidden = !totals.dropped;
  $("dropped").textContent = `More than ${curves.size} numbers arrive: the others are in the list below, without a curve.`;
}

function connections(c) {
  $("c-open").textContent = `${plain.format(c.open)} open, ${plain.format(c.ever)} in all`;
  $("c-from").textContent = bytes(c.from);
  $("c-to").textContent = bytes(c.to);
  for (const [id, data] of [["head", c.head], ["sent", c.sent]]) if (!paused) $(id).textContent = data ? dump(data) : "nothing yet";
}

// dump shows base64 as offsets, hex and text.
function dump(base64) {
  const raw = atob(base64), lines = [];
  for (let i = 0; i < raw.length; i += 16) {
    const part = [...raw.slice(i, i + 16)].map((c) => c.charCodeAt(0));
    const hex = part.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${i.toString(16).padStart(4, "0")}  ${hex}  ${part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join("")}`);
  }
  return lines.join("\n");
}

// What iod tells

function hello(h) {
  stream = h.stream;
  curves.clear();
  cursor = null;
  $("curves").replaceChildren();
  about();
  state(h.state);
  totals = h.totals;
  rate = [];
  h.curves.forEach(addCurve);
  list(h.messages || []);
  connections(h.conns);
  tellTotals();
  redraw();
}

function tick(n) {
  totals = n.totals;
  if (n.state) state(n.state);
  (n.curves || []).forEach(addCurve);
  for (const strip of n.points || []) {
    const c = curves.get(strip.id);
    if (!c) continue;
    strip.points.forEach((p) => insert(c, p));
    c.stats = strip.stats;
    tellStats(c);
  }
  list(n.messages || []);
  if (n.conns) connections(n.conns);
  tellTotals();
  if (!paused) redraw();
}

const source = new EventSource("events");
source.addEventListener("hello", (e) => hello(JSON.parse(e.data)));
source.addEventListener("tick", (e) => tick(JSON.parse(e.data)));
source.addEventListener("error", () => {
  if (!ended) state({ level: "end", text: "iod connect does not answer; does it still run?" });
  ended = true;
});

// Controls

function pause(on) {
  if (on === !!paused) return;
  paused = on ? Date.now() : 0;
  $("pause").setAttribute("aria-pressed", on);
  $("pause").lastElementChild.textContent = on ? "Go on" : "Pause";
  if (!on) {
    const held = waiting;
    waiting = [];
    behind = 0;
    if (held.length) {
      seen = held[0].id - 1;
      list(held);
    }
    for (const c of curves.values()) tellStats(c);
  }
  tellTotals();
  redraw();
}
$("pause").addEventListener("click", () => pause(!paused));
document.addEventListener("keydown", (e) => {
  if (e.key === "p" && !e.ctrlKey && !e.metaKey && !e.altKey && !(e.target instanceof HTMLInputElement && e.target.type === "text")) pause(!paused);
});
for (const input of document.querySelectorAll("[name=span]"))
  input.addEventListener("change", () => {
    span = Number(input.value);
    redraw();
  });
addEventListener("resize", redraw);
addEventListener("scroll", redraw, { passive: true });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
setInterval(() => {
  if (!paused && !document.hidden && curves.size) redraw();
  if (!paused) tellTotals();
}, 1000);
