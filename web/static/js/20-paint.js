// What the map looks like: everything is drawn on one canvas.

// colours reads the page's own from its style sheet, so that the map is light or dark with it.
function colours() {
  const style = getComputedStyle(document.documentElement);
  const out = {};
  for (const name of ["sea", "land", "shore", "border", "label", "halo", "signal", "signal-fill", "hair"]) {
    out[name] = style.getPropertyValue("--" + name).trim();
  }
  return out;
}

// trace puts lines on a path: those that are seen, as fine as the picture shows. The southern edge of the map is no shore.
function trace(lines, frame, closed, fill, stroke) {
  const { scale, left, top, right, bottom } = frame;
  const least = 0.9 / scale;
  for (const { points, box } of lines) {
    if (box[2] < left || box[0] > right || box[3] < top || box[1] > bottom) continue;
    if (closed && box[2] - box[0] < least && box[3] - box[1] < least) continue;
    let px = points[0];
    let py = points[1];
    if (fill) fill.moveTo(px, py);
    stroke.moveTo(px, py);
    const last = points.length - 2;
    for (let i = 2; i <= last; i += 2) {
      const x = points[i];
      const y = points[i + 1];
      if (i < last && Math.abs(x - px) < least && Math.abs(y - py) < least) continue;
      if (fill) fill.lineTo(x, y);
      if (y === UNITS || py === UNITS) stroke.moveTo(x, y);
      else stroke.lineTo(x, y);
      px = x;
      py = y;
    }
    if (fill) fill.closePath();
  }
}

// paintWorld draws sea, grid, land and borders. copies are the offsets of the copies of the world that are seen.
function paintWorld(ctx, chart, world, ink) {
  const { w, h, dpr } = chart.size;
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  ctx.fillStyle = ink.sea;
  ctx.fillRect(0, 0, w, h);
  paintGrid(ctx, chart, ink);
  if (!world) return;
  const south = chart.origin(0)[1] + chart.world(); // the map ends in the middle of Antarctica
  if (south < h) {
    ctx.fillStyle = ink.land;
    ctx.fillRect(0, south - 1, w, h - south + 1);
  }
  const scale = chart.world() / UNITS;
  for (const copy of chart.copies()) {
    const [dx, dy] = chart.origin(copy);
    const frame = { scale, left: -dx / scale, top: -dy / scale, right: (w - dx) / scale, bottom: (h - dy) / scale };
    const land = new Path2D();
    const shore = new Path2D();
    trace(world.land, frame, true, land, shore);
    const borders = new Path2D();
    trace(world.borders, frame, false, null, borders);
    ctx.setTransform(dpr * scale, 0, 0, dpr * scale, dpr * dx, dpr * dy);
    ctx.fillStyle = ink.land;
    ctx.fill(land, "evenodd");
    ctx.lineJoin = "round";
    ctx.lineWidth = 0.8 / scale;
    ctx.strokeStyle = ink.border;
    ctx.stroke(borders);
    ctx.lineWidth = 0.7 / scale;
    ctx.strokeStyle = ink.shore;
    ctx.stroke(shore);
  }
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
}

// paintGrid draws meridians and parallels, as far apart as suits the scale.
function paintGrid(ctx, chart, ink) {
  const degrees = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1];
  const step = degrees.find((d) => (chart.world() * d) / 360 < 220) || 0.05;
  const [south, west, north, east] = chart.bounds();
  ctx.globalAlpha = 0.45;
  ctx.strokeStyle = ink.shore;
  ctx.lineWidth = 0.5;
  ctx.beginPath();
  for (let lat = Math.ceil(south / step) * step; lat <= Math.min(84, north); lat += step) {
    const y = Math.round(chart.at(lat, 0)[1]) + 0.5;
    ctx.moveTo(0, y);
    ctx.lineTo(chart.size.w, y);
  }
  for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
    const x = Math.round(chart.exact(0, lon)[0]) + 0.5;
    ctx.moveTo(x, 0);
    ctx.lineTo(x, chart.size.h);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

// paintNames writes countries and cities where there is room for them; cities beside what is occupied.
function paintNames(ctx, chart, places, ink, occupied) {
  let taken = [];
  const free = (x, y, w, h) => {
    const box = [x - w / 2 - 3, y - h / 2 - 2, x + w / 2 + 3, y + h / 2 + 2];
    if (taken.some((b) => b[0] < box[2] && b[2] > box[0] && b[1] < box[3] && b[3] > box[1])) return false;
    taken.push(box);
    return true;
  };
  const { w, h } = chart.size;
  const scale = chart.world() / UNITS;
  ctx.textBaseline = "middle";
  ctx.lineJoin = "round";
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = ink.halo;
  ctx.fillStyle = ink.label;
  const write = (text, x, y) => {
    ctx.strokeText(text, x, y);
    ctx.fillText(text, x, y);
  };
  ctx.textAlign = "center";
  ctx.letterSpacing = "0.06em";
  for (const c of places.countries) {
    const room = c.size * scale;
    if (room < 46 || room > 3200) continue;
    const [x, y] = chart.spot(c.x, c.y);
    if (x < -80 || x > w + 80 || y < -10 || y > h + 10) continue;
    ctx.font = `600 ${room > 260 ? 12.5 : 10.5}px system-ui, sans-serif`;
    const name = c.name.toUpperCase();
    const wide = ctx.measureText(name).width;
    if (wide < room * 1.15 && free(x, y, wide, 14)) write(name, x, y);
  }
  ctx.letterSpacing = "0px";
  const zoom = chart.view.z;
  const least = zoom < 3 ? Infinity : zoom < 4 ? 91 : zoom < 5 ? 86 : zoom < 6 ? 80 : zoom < 7 ? 74 : zoom < 8 ? 68 : 0;
  let left = 90;
  taken = taken.concat(occupied);
  ctx.font = "500 11px system-ui, sans-serif";
  for (const c of places.cities) {
    if (c.size < least || left === 0) break;
    const [x, y] = chart.spot(c.x, c.y);
    if (x < -60 || x > w + 10 || y < -10 || y > h + 10) continue;
    const wide = ctx.measureText(c.name).width;
    const aside = wide / 2 + 6;
    const spot = [[aside, 0], [-aside, 0], [0, -12], [0, 12], [aside + 16, 0], [-aside - 16, 0], [0, -26], [0, 26]].find(([dx, dy]) => free(x + dx, y + dy, wide, 13));
    if (!spot) continue;
    left--;
    ctx.beginPath();
    ctx.arc(x, y, 1.8, 0, 7);
    ctx.fill();
    write(c.name, x + spot[0], y + spot[1]);
  }
}

// paintTiles draws a raster map, as far as it has arrived; what is missing leaves the own map to be seen.
function paintTiles(ctx, chart) {
  const z = Math.max(0, Math.min(19, Math.round(chart.view.z)));
  const n = 2 ** z;
  const side = chart.world() / n;
  const [dx, dy] = chart.origin(0);
  for (let x = Math.floor(-dx / side); x * side + dx < chart.size.w; x++) {
    for (let y = Math.max(0, Math.floor(-dy / side)); y < n && y * side + dy < chart.size.h; y++) {
      const tile = chart.tile(z, ((x % n) + n) % n, y);
      if (tile) ctx.drawImage(tile, Math.round(x * side + dx), Math.round(y * side + dy), Math.ceil(side) + 1, Math.ceil(side) + 1);
    }
  }
}

// paintArea draws a circle of km around a place: where something may be, or what a search reaches.
function paintArea(ctx, chart, area, ink) {
  const [x, y] = chart.at(area.lat, area.lon);
  const up = chart.at(Math.min(LIMIT, area.lat + area.km / 111.2), area.lon)[1];
  ctx.beginPath();
  ctx.arc(x, y, Math.max(9, y - up), 0, 7);
  if (area.fill) {
    ctx.globalAlpha = 0.2;
    ctx.fillStyle = ink["signal-fill"];
    ctx.fill();
    ctx.globalAlpha = 1;
  }
  ctx.setLineDash([5, 4]);
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = ink.signal;
  ctx.stroke();
  ctx.setLineDash([]);
}

// paintVeil dims what lies outside the box that the list is narrowed to, while the map shows more.
function paintVeil(ctx, chart, box, ink) {
  const [x0, y0] = chart.at(box[3], box[0]);
  let [x1, y1] = chart.at(box[1], box[2]);
  if (x1 < x0) x1 += chart.world();
  if (x0 < 2 && y0 < 2 && x1 > chart.size.w - 2 && y1 > chart.size.h - 2) return;
  ctx.beginPath();
  ctx.rect(0, 0, chart.size.w, chart.size.h);
  ctx.rect(x0, y0, x1 - x0, y1 - y0);
  ctx.globalAlpha = 0.16;
  ctx.fillStyle = ink.label;
  ctx.fill("evenodd");
  ctx.globalAlpha = 1;
  ctx.setLineDash([5, 4]);
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = ink.signal;
  ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  ctx.setLineDash([]);
}
