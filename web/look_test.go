package web

import (
	"strings"
	"testing"

	"iod/interop"
)

// looks are the windows in which pages are looked at: all of them in the first two, and in the others those that the windows change most.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
	only          string // names of pages; empty: all
	axe           string // names of those that axe-core looks at, one of each make
}{
	{"desktop-light", 1280, 800, false, "", "search wrong device unsigned aside hostile operator missing"},
	{"desktop-dark", 1280, 800, true, "", ""},
	{"phone-light", 375, 740, false, "search narrow empty wrong device hostile operator aside", "search device"},
	{"phone-dark", 375, 740, true, "search device ended", ""},
	{"tablet-light", 820, 1180, false, "search device", ""},
}

// among reports whether a list has a name.
func among(list, name string) bool { return strings.Contains(" "+list+" ", " "+name+" ") }

// pagesOf are all that there is to be looked at.
func pagesOf(m *market) []struct{ name, path string } {
	return []struct{ name, path string }{
		{"search", "/"}, {"narrow", "/?data_type=wind_speed&near=48.2,16.37&within=2500&sort=distance"}, {"part", "/?bbox=-12,35,45,62&verified=true"},
		{"empty", "/?near=-48,-120&within=50&unit=m%2Fs"}, {"wrong", "/?min_price=1e3&data_type=wind_speed"}, {"astray", "/?near=99,2"},
		{"device", "/d/" + m.wind.DID()}, {"disturbed", "/d/" + m.vouched.DID()}, {"claimed", "/d/" + m.claimed.DID()}, {"area", "/d/" + m.named.DID()},
		{"ended", "/d/" + m.gone.DID()}, {"unsigned", "/d/" + m.legacy.DID()}, {"aside", "/d/" + m.aside.DID()}, {"hostile", "/d/" + m.harsh.DID()},
		{"operator", "/operator"}, {"missing", "/nothing"},
	}
}

// TestEveryPage looks at each page in windows of each kind, light and dark, keeps a picture, and looks for barriers: by checks of our own
// everywhere, and by axe-core, which nobody here wrote, once for each make of page.
func TestEveryPage(t *testing.T) {
	m, srv := open(t, nil)
	axe := string(axeCore(t))
	for _, look := range looks {
		t.Run(look.name, func(t *testing.T) {
			t.Parallel()
			b := newTab(t, srv, look.width, look.height, look.dark)
			b.allow("the server responded with a status of 40")
			for _, page := range pagesOf(m) {
				if look.only != "" && !among(look.only, page.name) {
					continue
				}
				b.open(page.path)
				market := page.path == "/" || strings.HasPrefix(page.path, "/?")
				switch {
				case market && page.name != "empty" && page.name != "wrong" && page.name != "astray":
					b.settled()
				case market:
					b.await(`document.querySelector("#map canvas") && !document.querySelector("#list[aria-busy]")`)
				}
				b.do(`await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))`)
				what := page.name + "-" + look.name
				b.fits(what)
				b.shoot(what, !market)
				for _, wrong := range append(eval[[]string](b, structure), eval[[]string](b, contrast)...) {
					t.Errorf("%s: %s", what, wrong)
				}
				if axe != "" && among(look.axe, page.name) {
					b.barriers(what, axe)
				}
			}
		})
	}
}

// structure is what a screen reader needs, and what of it a page lacks.
const structure = `(() => {
	const wrong = [], all = (s) => [...document.querySelectorAll(s)], seen = (e) => e.checkVisibility();
	const one = (s, n = all(s).filter(seen).length) => n === 1 || wrong.push(n + " of " + s);
	one("main"); one("h1"); one("header.top"); one("footer"); one("a.skip");
	if (!document.documentElement.lang || !document.title) wrong.push("no language or no title");
	if (!document.querySelector(document.querySelector("a.skip").hash)) wrong.push("the skip link leads nowhere");
	const named = (e) => (e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || "").trim() || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent;
	for (const e of all("a[href], button, input:not([type=hidden]), select, summary, section, nav, [role]")) {
		if (!named(e) && seen(e) && e.getAttribute("role") !== "status" && !e.closest("[aria-hidden]")) wrong.push("no name: " + e.outerHTML.slice(0, 120));
	}
	let level = 0;
	for (const h of all("h1, h2, h3, h4").filter(seen)) {
		const now = +h.tagName[1];
		if (now > level + 1 && h.closest("main")) wrong.push("heading " + now + " after " + level + ": " + h.textContent.slice(0, 40));
		level = now;
	}
	const ids = all("[id]").map((e) => e.id), twice = ids.filter((id, i) => ids.indexOf(id) !== i);
	if (twice.length) wrong.push("ids that are there twice: " + twice);
	return wrong.slice(0, 5);
})()`

// contrast is whether text stands out from what is behind it as WCAG 2.2 AA wants, by the styles that the browser reckoned.
const contrast = `(() => {
	const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (css) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = css; pen.fillRect(0, 0, 1, 1); return pen.getImageData(0, 0, 1, 1).data; };
	const light = (c) => { const [r, g, b] = [0, 1, 2].map((i) => (c[i] / 255 <= 0.04045 ? c[i] / 255 / 12.92 : ((c[i] / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; } return [255, 255, 255, 255]; };
	const wrong = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || e.closest("script, noscript, option, svg, .unseen, .scale, #map") || !e.checkVisibility({ opacityProperty: true })) continue;
		const s = getComputedStyle(e), size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && +s.fontWeight >= 700;
		const [a, b] = [light(rgba(s.color)), light(behind(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
		if (ratio < (large ? 3 : 4.5)) wrong.push("contrast " + ratio.toFixed(2) + ": " + e.tagName + "." + e.className + " " + walk.currentNode.data.trim().slice(0, 30));
	}
	return [...new Set(wrong)].slice(0, 5);
})()`

// TestChecksSeeFaults: the checks above find what is wrong in a page that is made wrong.
func TestChecksSeeFaults(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1280, 800, false)
	b.open("/operator")
	b.do(`document.querySelector("h1").after(document.createElement("h1"), document.createElement("button"));
		document.querySelector("main h1").textContent = "x"; document.querySelector("#set-aside h2").style.color = "#ccc"; document.querySelector("main").id = "elsewhere"`)
	wrong := strings.Join(append(eval[[]string](b, structure), eval[[]string](b, contrast)...), "; ")
	for _, want := range []string{"no name: <button", "the skip link leads nowhere", "contrast 1."} {
		if !strings.Contains(wrong, want) {
			t.Errorf("the checks do not find %q: %s", want, wrong)
		}
	}
}

// barriers has axe-core look at the page.
func (b *tab) barriers(what, axe string) {
	b.t.Helper()
	b.do(axe)
	found := eval[[]string](b, `axe.run({resultTypes: ["violations"]}).then((r) => r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary.slice(0, 240))))`)
	for _, f := range found {
		b.t.Errorf("%s: %s", what, f)
	}
}

// axeCore is the source of axe-core; empty, with a note, where it cannot be had.
func axeCore(t *testing.T) []byte {
	t.Helper()
	var source []byte
	t.Run("axe", func(t *testing.T) { source = interop.Node(t, "axe.mjs") })
	return source
}
