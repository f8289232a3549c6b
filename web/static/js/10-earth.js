// The map's data: see the documentation of package earth for the formats.

const UNITS = 65536;
const LIMIT = 85.05112877980659;

// project returns where a place is on the square of Web Mercator, 0 to 1 from its north-western corner.
function project(lat, lon) {
  const s = Math.sin((Math.max(-LIMIT, Math.min(LIMIT, lat)) * Math.PI) / 180);
  return [lon / 360 + 0.5, 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI)];
}

function unproject(x, y) {
  return [(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, (x - 0.5) * 360];
}

// decodeWorld reads a world file into rings of land and borders: {points: Int32Array of x, y, box: [left, top, right, bottom]}.
function decodeWorld(buffer) {
  const bytes = new Uint8Array(buffer);
  let at = 0;
  const uvarint = () => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const b = bytes[at++];
      value += (b & 127) * factor;
      if (b < 128) return value;
      factor *= 128;
    }
  };
  const varint = () => {
    const u = uvarint();
    return u % 2 ? -(u + 1) / 2 : u / 2;
  };
  const lines = () => {
    const out = [];
    let x = 0;
    let y = 0;
    for (let n = uvarint(); n > 0; n--) {
      const m = uvarint();
      const points = new Int32Array(2 * m);
      const box = [UNITS, UNITS, 0, 0];
      for (let i = 0; i < m; i++) {
        points[2 * i] = x += varint();
        points[2 * i + 1] = y += varint();
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = Math.max(box[3], y);
      }
      out.push({ points, box });
    }
    return out;
  };
  return { land: lines(), borders: lines() };
}

// decodePlaces reads places.tsv into countries and cities, the largest first.
function decodePlaces(text) {
  const countries = [];
  const cities = [];
  let into = countries;
  for (const line of text.split("\n")) {
    if (line === "") into = cities;
    if (line === "" || line[0] === "\t") continue;
    const [name, lat, lon, size] = line.split("\t");
    const [x, y] = project(+lat, +lon);
    into.push({ name, x, y, size: +size });
  }
  cities.sort((a, b) => b.size - a.size);
  return { countries, cities };
}

// once fetches a file of the map's data and keeps what is made of it.
const fetched = new Map();
function once(url, make) {
  if (!fetched.has(url)) {
    const got = fetch(url).then((r) => {
      if (!r.ok) throw new Error(url + ": " + r.status);
      return make(r);
    });
    got.catch(() => fetched.delete(url));
    fetched.set(url, got);
  }
  return fetched.get(url);
}
