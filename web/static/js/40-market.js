// sideOf is how many pixels wide the mark of so many devices is.
const sideOf = (count) => Math.round(20 + 8 * Math.log10(count));

// The search page: the list follows the filters and the map, and the address holds all of it.
class Market {
  constructor(root) {
    this.say = document.body.appendChild(document.createElement("p"));
    this.say.className = "unseen";
    this.say.setAttribute("role", "status");
    this.form = document.getElementById("search");
    this.chart = new Chart(root, {
      label: "Map. Arrow keys move it, plus and minus zoom, 0 shows the whole world. The list beside it has the same devices.",
      homeLabel: "Whole world",
      home: (c) => {
        c.all();
        this.go(this.address({ bbox: null }), { push: true });
      },
      onmove: () => (this.moved = true),
      onrest: () => this.rested(),
    });
    this.show(new URL(location.href));
    this.listen();
    this.offerPlace();
    this.mark();
  }

  // address is the page's address with some parameters set otherwise; null takes one out.
  address(changes) {
    const url = new URL(location.href);
    url.searchParams.delete("after");
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    return tidy(url);
  }

  // show has the map show what an address is about.
  show(url) {
    const numbers = (name, n) => {
      const all = (url.searchParams.get(name) || "").split(",").map(Number);
      return all.length === n && all.every(Number.isFinite) ? all : null;
    };
    const box = numbers("bbox", 4);
    let near = numbers("near", 2);
    if (near && (Math.abs(near[0]) > 90 || Math.abs(near[1]) > 180)) near = null;
    const km = +url.searchParams.get("within") || 50;
    this.chart.areas = near ? [{ lat: near[0], lon: near[1], km }] : [];
    this.chart.veil = box || null;
    if (box) this.chart.fit(box, 16);
    else if (near) this.chart.around(near[0], near[1], km);
    else this.chart.all();
    this.moved = false;
  }

  rested() {
    if (!this.moved) return;
    this.moved = false;
    const changes = { bbox: this.chart.bbox() };
    const near = new URL(location.href).searchParams.get("near")?.split(",").map(Number);
    if (near) {
      const [x, y] = this.chart.at(near[0], near[1]);
      if (x < 0 || y < 0 || x > this.chart.size.w || y > this.chart.size.h) {
        Object.assign(changes, { near: null, within: null });
        if (new URL(location.href).searchParams.get("sort") === "distance") changes.sort = null;
        this.chart.areas = [];
        this.chart.paint();
      }
    }
    this.go(this.address(changes), { still: true });
  }

  // go fetches the list of an address and shows it. push: a new entry in the history; still: the map stays as it is.
  async go(url, { push = false, still = false, focus = false } = {}) {
    this.flight?.abort();
    const flight = (this.flight = new AbortController());
    const list = document.getElementById("list");
    list.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/results" + url.search, { signal: flight.signal });
      const type = answer.headers.get("Content-Type") || "";
      if (!type.startsWith("text/html") || answer.status > 499 || answer.status === 429) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (flight.signal.aborted) return;
      const now = new URL(answer.url);
      const target = new URL("/" + now.search, location.href);
      history[push ? "pushState" : "replaceState"](null, "", target);
      this.shown = location.search;
      document.title = page.title;
      this.swap(page);
      if (!still) this.show(target);
      if (focus) {
        scrollTo(0, 0);
        document.getElementById("list").focus({ preventScroll: true });
      }
      this.mark();
    } catch (err) {
      if (flight.signal.aborted) return;
      list.removeAttribute("aria-busy");
      this.trouble(url);
    }
  }

  // swap puts the parts of a fetched page in the place of this one's, and leaves the focus where it was.
  swap(page) {
    const focused = document.activeElement?.id;
    const unfolded = [...document.querySelectorAll("details.more[open]")].map((d) => d.id);
    const scroll = this.form.scrollTop;
    for (const [id, part] of [["filters", ".panel"], ["filters", "summary"], ["list", null]]) {
      const now = part ? document.querySelector(`#${id} ${part}`) : document.getElementById(id);
      const next = part ? page.querySelector(`#${id} ${part}`) : page.getElementById(id);
      if (now && next) now.replaceWith(document.adoptNode(next));
    }
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    document.getElementById("q").value = new URL(location.href).searchParams.get("q") || "";
    this.form.scrollTop = scroll;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    this.say.textContent = document.getElementById("count").textContent;
    this.offerPlace();
  }

  trouble(url) {
    document.querySelector("#list .note.fetch")?.remove();
    const note = document.createElement("div");
    note.className = "note fair fetch";
    note.setAttribute("role", "alert");
    const text = document.createElement("p");
    text.textContent = "The list could not be loaded: the server did not answer. ";
    const again = document.createElement("a");
    again.href = url.pathname + url.search;
    again.dataset.go = "";
    again.textContent = "Try again";
    text.append(again);
    note.append(text);
    document.querySelector("#list .bar").after(note);
  }

  // mark fetches what is to be seen on the map.
  async mark() {
    this.marking?.abort();
    const flight = (this.marking = new AbortController());
    const url = new URL("/api/v1/map", location.href);
    for (const [name, value] of new URL(location.href).searchParams) {
      if (value && !["bbox", "sort", "after", "place"].includes(name)) url.searchParams.append(name, value);
    }
    url.searchParams.set("bbox", this.chart.bbox());
    url.searchParams.set("zoom", Math.max(0, Math.floor(this.chart.view.z + 0.45)));
    try {
      const answer = await fetch(url, { signal: flight.signal });
      if (!answer.ok) return this.dim(answer.status);
      const found = await answer.json();
      if (flight.signal.aborted) return;
      this.dim(0);
      const focused = this.chart.marks.contains(document.activeElement) && document.activeElement.dataset;
      this.chart.marks.replaceChildren(...this.gather(found.features).map((m) => this.markOf(m)));
      this.roam(focused);
      this.chart.place();
      this.chart.paint(); // names keep clear of the marks
    } catch (err) {
      if (!flight.signal.aborted) this.dim(-1);
    }
  }

  // dim says why there is nothing on the map; 0: all is well.
  dim(status) {
    this.note ??= this.chart.root.appendChild(document.createElement("p"));
    this.note.className = "mapsay";
    this.note.hidden = status === 0 || status === 400;
    this.note.textContent = status === 503 ? "The map is being counted; in a few seconds it is there." : "The map's devices could not be loaded.";
    clearTimeout(this.later);
    if (status === 503 || status === -1 || status === 429) this.later = setTimeout(() => this.mark(), 3000);
  }

  // gather makes marks of what the server found: those that would cover each other become one, in the place of the largest.
  gather(features) {
    const marks = [];
    for (const f of features.toSorted((a, b) => b.properties.count - a.properties.count)) {
      const [lon, lat] = f.geometry.coordinates;
      const [x, y] = this.chart.at(lat, lon);
      const { count, did, spot } = f.properties;
      const box = f.bbox || [lon, lat, lon, lat];
      const side = did ? 14 : sideOf(count);
      const under = marks.find((m) => Math.hypot(m.x - x, m.y - y) < (m.side + side) * 0.42 && m.box[0] <= m.box[2] && box[0] <= box[2]);
      if (!under) {
        marks.push({ lat, lon, x, y, count, did, spot, box, side });
        continue;
      }
      under.count += count;
      under.did = under.spot = null;
      under.side = sideOf(under.count);
      under.box = [Math.min(under.box[0], box[0]), Math.min(under.box[1], box[1]), Math.max(under.box[2], box[2]), Math.max(under.box[3], box[3])];
    }
    return marks;
  }

  markOf({ lat, lon, count, did, spot, box, side }) {
    const a = document.createElement("a");
    a.dataset.lat = lat;
    a.dataset.lon = lon;
    a.tabIndex = -1;
    if (did) {
      a.className = "one";
      a.href = "/d/" + did;
      a.dataset.did = did;
      a.style.width = a.style.height = "14px";
      a.setAttribute("aria-label", "One device");
      return a;
    }
    a.style.width = a.style.height = side + "px";
    a.textContent = count < 1000 ? count : count < 9950 ? +(count / 1000).toFixed(1) + "k" : count < 999500 ? Math.round(count / 1000) + "k" : +(count / 1e6).toFixed(1) + "M";
    a.setAttribute("aria-label", spot ? `${count} devices at one place; list them` : `${count} devices; zoom in`);
    a.dataset.box = box.join(",");
    if (spot) a.dataset.spot = "";
    a.href = this.address({ bbox: box.join(",") }).href;
    return a;
  }

  // roam lets the arrow keys go from mark to mark; one of them takes the focus of the tab key. Where a mark had the focus, the one
  // that is nearest to its place has it now.
  roam(focused) {
    let first = this.chart.marks.firstElementChild;
    if (!first) return focused && this.chart.canvas.focus({ preventScroll: true });
    if (focused) {
      const far = (m) => Math.hypot(m.dataset.lat - focused.lat, m.dataset.lon - focused.lon);
      first = [...this.chart.marks.children].reduce((a, b) => (far(b) < far(a) ? b : a));
      first.focus({ preventScroll: true });
    }
    first.tabIndex = 0;
  }

  step(from, key) {
    const [fx, fy] = this.chart.at(+from.dataset.lat, +from.dataset.lon);
    const ahead = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    let best = null;
    let least = Infinity;
    for (const m of this.chart.marks.children) {
      const [x, y] = this.chart.at(+m.dataset.lat, +m.dataset.lon);
      const along = (x - fx) * ahead[0] + (y - fy) * ahead[1];
      const aside = Math.abs((x - fx) * ahead[1]) + Math.abs((y - fy) * ahead[0]);
      if (m === from || m.hidden || along <= 0 || aside > along * 1.5) continue;
      if (along + aside < least) [best, least] = [m, along + aside];
    }
    if (!best) return;
    from.tabIndex = -1;
    best.tabIndex = 0;
    best.focus();
  }

  // open has the map show a cluster, or the card of a device.
  open(mark) {
    if (mark.dataset.did) return this.card(mark.dataset.did, mark);
    const box = mark.dataset.box.split(",").map(Number);
    if ("spot" in mark.dataset) return this.go(this.address({ bbox: mark.dataset.box }), { push: true, still: true });
    const before = this.chart.view.z;
    this.chart.fit(box, 15, 120);
    if (this.chart.view.z < before + 0.7) this.chart.set(this.chart.view.x, this.chart.view.y, before + 1.5);
    this.chart.veil = null;
    this.go(this.address({ bbox: this.chart.bbox() }), { push: true, still: true });
  }

  async card(did, from) {
    const answer = await fetch("/card/" + did).catch(() => null);
    if (!answer?.ok) return location.assign("/d/" + did);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const entry = page.querySelector(".device");
    if (!entry) return location.assign("/d/" + did);
    this.shut();
    entry.removeAttribute("id");
    const card = document.createElement("div");
    card.className = "card";
    card.setAttribute("role", "dialog");
    card.setAttribute("aria-label", "Device");
    const ul = document.createElement("ul");
    ul.append(document.adoptNode(entry));
    const shut = document.createElement("button");
    shut.type = "button";
    shut.className = "shut";
    shut.textContent = "×";
    shut.setAttribute("aria-label", "Close");
    shut.addEventListener("click", () => this.shut());
    card.append(ul, shut);
    this.chart.root.append(card);
    this.open_ = { card, from };
    card.querySelector("a").focus({ preventScroll: true });
  }

  shut() {
    if (!this.open_) return;
    const { card, from } = this.open_;
    this.open_ = null;
    card.remove();
    if (from.isConnected) from.focus({ preventScroll: true });
  }

  listen() {
    document.documentElement.classList.add("scripted");
    const wide = matchMedia("(min-width: 1100px)");
    const unfold = () => wide.matches && (document.getElementById("filters").open = true);
    wide.addEventListener("change", unfold);
    unfold();
    document.addEventListener("click", (e) => {
      const link = e.target.closest?.("a[data-go]");
      if (!link || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
      e.preventDefault();
      const paging = link.closest(".pages");
      this.go(new URL(link.href), { push: true, still: !!paging, focus: !!paging });
    });
    document.addEventListener("submit", (e) => {
      if (e.target !== this.form) return;
      e.preventDefault();
      this.submit();
    });
    document.addEventListener("change", (e) => {
      if (e.target.form === this.form && e.target.id !== "place" && e.target.id !== "q") this.submit();
    });
    document.addEventListener("input", (e) => e.target.id === "place" && this.suggest(e.target));
    document.addEventListener("keydown", (e) => e.key === "Escape" && this.shut());
    this.shown = location.search;
    addEventListener("popstate", () => location.search !== this.shown && this.go(new URL(location.href))); // else it was a link within the page
    for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
      document.addEventListener(on, (e) => this.light(e.target, true));
      document.addEventListener(off, (e) => this.light(e.target, false));
    }
    this.chart.marks.addEventListener("click", (e) => {
      const mark = e.target.closest("a");
      if (!mark || e.ctrlKey || e.metaKey || e.shiftKey) return;
      e.preventDefault();
      this.open(mark);
    });
    this.chart.marks.addEventListener("keydown", (e) => {
      if (!e.key.startsWith("Arrow")) return;
      e.preventDefault();
      this.step(e.target, e.key);
    });
  }

  submit() {
    const url = new URL("/", location.href);
    for (const [name, value] of new FormData(this.form)) if (value) url.searchParams.append(name, value);
    const place = url.searchParams.get("place");
    const moved = url.searchParams.get("within") !== new URL(location.href).searchParams.get("within");
    if (place || (moved && url.searchParams.get("near"))) url.searchParams.delete("bbox");
    const q = url.searchParams.get("q") || "";
    if (/^(did:peaq:)?[1-9A-HJ-NP-Za-km-z]{46,50}$/.test(q.trim())) return location.assign("/?q=" + encodeURIComponent(q.trim()));
    this.go(tidy(url), { push: true, still: !place && !moved });
  }

  // light marks an entry's place on the map, and a mark's entry in the list.
  light(target, on) {
    const entry = target.closest?.("#list .device");
    if (entry?.dataset.lat) this.chart.pin(on ? [+entry.dataset.lat, +entry.dataset.lon] : null);
    const mark = target.closest?.(".marks a[data-did]");
    if (mark) document.getElementById("d-" + mark.dataset.did.slice("did:peaq:".length))?.classList.toggle("lit", on);
  }

  async suggest(input) {
    const text = input.value.trim();
    if (text.length < 2) return;
    const answer = await fetch("/places?q=" + encodeURIComponent(text)).catch(() => null);
    if (!answer?.ok || input.value.trim() !== text) return;
    const names = await answer.json();
    document.getElementById("places").replaceChildren(...names.map((n) => Object.assign(document.createElement("option"), { value: n })));
  }

  // offerPlace shows the button that asks for the reader's place, where there is one to be had.
  offerPlace() {
    const button = document.getElementById("locate");
    if (!button || !navigator.geolocation) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      button.disabled = true;
      navigator.geolocation.getCurrentPosition(
        (p) => {
          const near = p.coords.latitude.toFixed(2) + "," + p.coords.longitude.toFixed(2);
          this.go(this.address({ near, within: "50", sort: "distance", bbox: null }), { push: true });
        },
        () => {
          button.disabled = false;
          this.say.textContent = "Your place could not be had.";
          button.textContent = "Your place could not be had";
        },
        { maximumAge: 600000, timeout: 10000 },
      );
    });
  }
}

// tidy leaves commas in an address as they are, and what is empty out.
function tidy(url) {
  const parts = [];
  for (const [name, value] of url.searchParams) {
    if (value !== "" && !(name === "sort" && value === "newest")) parts.push(name + "=" + encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%20", "+"));
  }
  return new URL("/" + (parts.length ? "?" + parts.join("&") : ""), location.href);
}
