// Chart is a map that can be moved. It tells its owner when it has come to rest (onrest) and when it was moved by hand (onmove).
class Chart {
  constructor(root, options) {
    this.root = root;
    this.options = options;
    this.view = { x: 0.5, y: 0.42, z: 1.5 };
    this.tiles = new Map();
    this.areas = [];
    this.veil = null;
    this.canvas = root.appendChild(document.createElement("canvas"));
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", options.label);
    this.ctx = this.canvas.getContext("2d", { alpha: false });
    this.marks = root.appendChild(document.createElement("div"));
    this.marks.className = "marks";
    this.ink = colours();
    this.measure();
    this.furnish();
    this.listen();
  }

  measure() {
    const box = this.root.getBoundingClientRect();
    this.size = { w: Math.max(1, box.width), h: Math.max(1, box.height), dpr: Math.min(3, devicePixelRatio || 1) };
    this.canvas.width = Math.round(this.size.w * this.size.dpr);
    this.canvas.height = Math.round(this.size.h * this.size.dpr);
    this.least = Math.max(0, Math.log2(Math.max(0.8 * this.size.w, Math.min(this.size.h, 1.2 * this.size.w)) / 256)); // the world fills the frame, or nearly
  }

  world() {
    return 256 * 2 ** this.view.z;
  }

  // origin is where the north-western corner of a copy of the world is, in pixels.
  origin(copy) {
    const n = this.world();
    return [this.size.w / 2 - (this.view.x - copy) * n, this.size.h / 2 - this.view.y * n];
  }

  copies() {
    const half = this.size.w / 2 / this.world();
    const out = []; // one more on both sides: land reaches beyond its own
    for (let c = Math.floor(this.view.x - half) - 1; c <= Math.floor(this.view.x + half) + 1; c++) out.push(c);
    return out;
  }

  // spot is where a point of the square is, in pixels; of its copies the one nearest to the middle.
  spot(x, y) {
    const n = this.world();
    x -= Math.round(x - this.view.x);
    return [(x - this.view.x) * n + this.size.w / 2, (y - this.view.y) * n + this.size.h / 2];
  }

  at(lat, lon) {
    return this.spot(...project(lat, lon));
  }

  // exact is at without choosing a copy.
  exact(lat, lon) {
    const [x, y] = project(lat, lon);
    const n = this.world();
    return [(x - this.view.x) * n + this.size.w / 2, (y - this.view.y) * n + this.size.h / 2];
  }

  // bounds are south, west, north, east in degrees; west and east run on beyond 180.
  bounds() {
    const n = this.world();
    const [north, west] = unproject(this.view.x - this.size.w / 2 / n, Math.max(0, this.view.y - this.size.h / 2 / n));
    const [south, east] = unproject(this.view.x + this.size.w / 2 / n, Math.min(1, this.view.y + this.size.h / 2 / n));
    return [south, west, north, east];
  }

  // bbox is bounds as the parameter of that name: west, south, east, north.
  bbox() {
    let [south, west, north, east] = this.bounds();
    if (east - west >= 360) [west, east] = [-180, 180];
    const wrap = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
    if (west < -180 || east > 180) [west, east] = [wrap(west), wrap(east)];
    const digits = Math.max(2, Math.min(5, Math.round(this.view.z / 2)));
    return [west, south, east, north].map((v) => +v.toFixed(digits)).join(",");
  }

  set(x, y, z) {
    z = Math.max(this.least, Math.min(16, z));
    const half = this.size.h / 2 / (256 * 2 ** z);
    y = half > 0.5 ? 0.5 : Math.max(half, Math.min(1 - half, y));
    this.view = { x: x - Math.floor(x), y, z };
    this.paint();
  }

  fit([west, south, east, north], most = 12, room = 0) {
    const [x0, y0] = project(north, west);
    let [x1, y1] = project(south, east);
    if (x1 < x0) x1 += 1;
    const w = Math.max(40, this.size.w - room);
    const h = Math.max(40, this.size.h - room);
    const z = Math.min(most, Math.log2(Math.min(w / Math.max(1e-9, x1 - x0), h / Math.max(1e-9, y1 - y0)) / 256));
    this.set((x0 + x1) / 2, (y0 + y1) / 2, z);
  }

  around(lat, lon, km, room = 40) {
    const dLat = km / 111.2;
    const dLon = dLat / Math.max(0.05, Math.cos((lat * Math.PI) / 180));
    if (dLon > 170) return this.all();
    this.fit([lon - dLon, Math.max(-85, lat - dLat), lon + dLon, Math.min(85, lat + dLat)], 13, room);
  }

  all() {
    this.set(0.55, 0.42, this.least);
  }

  // move is set by hand.
  move(x, y, z) {
    this.set(x, y, z);
    this.veil = null;
    this.options.onmove?.();
    this.rest();
  }

  pan(dx, dy) {
    const n = this.world();
    this.move(this.view.x + dx / n, this.view.y + dy / n, this.view.z);
  }

  // zoom changes the zoom so that the point at px, py stays where it is.
  zoom(by, px = this.size.w / 2, py = this.size.h / 2) {
    const before = this.world();
    const z = Math.max(this.least, Math.min(16, this.view.z + by));
    const after = 256 * 2 ** z;
    const dx = px - this.size.w / 2;
    const dy = py - this.size.h / 2;
    this.move(this.view.x + dx / before - dx / after, this.view.y + dy / before - dy / after, z);
  }

  rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.options.onrest?.(), 180);
  }

  // paint draws at the next frame.
  paint() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const fine = this.view.z > 3.2;
    const get = (url) => once(url, (r) => r.arrayBuffer().then(decodeWorld)).then((w) => w, () => null);
    const data = this.root.dataset;
    if (!this.coarse) get(data.coarse).then((w) => w && ((this.coarse = w), this.paint()));
    if (fine && !this.fine) get(data.fine).then((w) => w && ((this.fine = w), this.paint()));
    if (!this.names) {
      once(data.places, (r) => r.text().then(decodePlaces)).then((p) => ((this.names = p), this.paint()), () => {});
    }
    paintWorld(this.ctx, this, (fine && this.fine) || this.coarse, this.ink);
    if (data.tiles) paintTiles(this.ctx, this);
    else if (this.names) paintNames(this.ctx, this, this.names, this.ink, this.occupied());
    if (this.veil) paintVeil(this.ctx, this, this.veil, this.ink);
    for (const area of this.areas) paintArea(this.ctx, this, area, this.ink);
    this.place();
    this.rule();
  }

  tile(z, x, y) {
    const url = this.root.dataset.tiles.replace("{z}", z).replace("{x}", x).replace("{y}", y);
    let tile = this.tiles.get(url);
    if (!tile) {
      if (this.tiles.size > 400) this.tiles.clear();
      tile = new Image();
      tile.onload = () => this.paint();
      tile.src = url;
      this.tiles.set(url, tile);
    }
    return tile.complete && tile.naturalWidth ? tile : null;
  }

  // place puts the marks where they belong now.
  place() {
    for (const mark of this.marks.children) {
      const [x, y] = this.at(+mark.dataset.lat, +mark.dataset.lon);
      mark.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
      mark.hidden = x < -30 || y < -30 || x > this.size.w + 30 || y > this.size.h + 30;
    }
    if (this.pinned) {
      const [x, y] = this.at(...this.pinned);
      this.pinElement.style.transform = `translate(${x}px, ${y}px)`;
    }
  }

  // occupied are the boxes that marks and pin cover, left, top, right, bottom: names keep clear of them.
  occupied() {
    const box = (x, y, r) => [x - r, y - r, x + r, y + r];
    const out = [...this.marks.children].map((m) => box(...this.at(+m.dataset.lat, +m.dataset.lon), parseFloat(m.style.width) / 2 + 2));
    for (const a of this.areas) if (a.fill) out.push(box(...this.at(a.lat, a.lon), 12));
    if (this.pinned) out.push(box(...this.at(...this.pinned), 14));
    return out;
  }

  // pin marks a place; null takes the pin away.
  pin(at) {
    this.pinned = at;
    if (!this.pinElement) {
      this.pinElement = this.root.appendChild(document.createElement("div"));
      this.pinElement.className = "pin";
    }
    this.pinElement.hidden = !at;
    this.place();
  }

  // rule draws the scale.
  rule() {
    const [lat] = unproject(0, this.view.y);
    const km = (40075 * Math.cos((lat * Math.PI) / 180)) / this.world();
    const most = 110 * km;
    const step = 10 ** Math.floor(Math.log10(most));
    const long = step * (most >= 5 * step ? 5 : most >= 2 * step ? 2 : 1);
    this.scale.style.width = `${long / km}px`;
    this.scale.firstChild.textContent = long >= 1 ? `${long.toLocaleString("en").replaceAll(",", "\u202f")} km` : `${Math.round(long * 1000)} m`;
  }

  furnish() {
    const add = (tag, className, into = this.root) => {
      const e = into.appendChild(document.createElement(tag));
      e.className = className;
      return e;
    };
    this.scale = add("div", "scale");
    this.scale.setAttribute("aria-hidden", "true");
    this.scale.append(document.createElement("span"));
    if (this.root.dataset.credit) add("div", "credits").textContent = this.root.dataset.credit;
    const tools = add("div", "tools");
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", "Zoom");
    for (const [label, path, act] of [
      ["Closer", "M10 4v12M4 10h12", () => this.zoom(1)],
      ["Farther", "M4 10h12", () => this.zoom(-1)],
      [this.options.homeLabel, "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M3 10h14M10 3c-5 4-5 10 0 14M10 3c5 4 5 10 0 14", () => this.options.home(this)],
    ]) {
      const b = add("button", "", tools);
      b.type = "button";
      b.title = label;
      b.setAttribute("aria-label", label);
      const svg = b.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
      svg.setAttribute("viewBox", "0 0 20 20");
      svg.setAttribute("aria-hidden", "true");
      svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path")).setAttribute("d", path);
      b.addEventListener("click", act);
    }
  }

  listen() {
    new ResizeObserver(() => {
      this.measure();
      this.set(this.view.x, this.view.y, this.view.z);
    }).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.ink = colours();
      this.paint();
    });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    this.canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    this.canvas.addEventListener("dblclick", (e) => this.zoom(1, e.offsetX, e.offsetY));
    this.pointers = new Map();
    this.canvas.addEventListener("pointerdown", (e) => this.down(e));
    this.canvas.addEventListener("pointermove", (e) => this.drag(e));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, (e) => this.up(e));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = e.shiftKey ? 240 : 80;
    const act = {
      ArrowLeft: () => this.pan(-step, 0), ArrowRight: () => this.pan(step, 0), ArrowUp: () => this.pan(0, -step), ArrowDown: () => this.pan(0, step),
      "+": () => this.zoom(1), "=": () => this.zoom(1), "-": () => this.zoom(-1), 0: () => this.options.home(this),
    }[e.key];
    if (!act) return;
    e.preventDefault();
    act();
  }

  wheel(e) {
    if (this.options.calm && !e.ctrlKey && document.activeElement !== this.canvas) return; // the page scrolls
    e.preventDefault();
    const by = -e.deltaY * (e.deltaMode ? 0.06 : e.ctrlKey ? 0.01 : 0.0028);
    this.zoom(Math.max(-1, Math.min(1, by)), e.offsetX, e.offsetY);
  }

  down(e) {
    if (e.button) return;
    this.canvas.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
    this.root.classList.add("moving");
  }

  drag(e) {
    const was = this.pointers.get(e.pointerId);
    if (!was) return;
    const now = [e.offsetX, e.offsetY];
    const other = [...this.pointers].find(([id]) => id !== e.pointerId)?.[1];
    this.pointers.set(e.pointerId, now);
    if (!other) return this.pan(was[0] - now[0], was[1] - now[1]);
    const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
    this.pan((was[0] - now[0]) / 2, (was[1] - now[1]) / 2);
    this.zoom(Math.log2(Math.max(1, apart(now)) / Math.max(1, apart(was))), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  up(e) {
    this.pointers.delete(e.pointerId);
    if (!this.pointers.size) this.root.classList.remove("moving");
  }
}
