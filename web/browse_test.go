package web

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func TestFindFilterPageAndCopy(t *testing.T) {
	t.Parallel()
	m, srv := open(t, nil)
	for _, width := range []int64{1280, 375} {
		b := newTab(t, srv, width, 800, width < 1000)
		b.open("/")
		b.settled()
		b.filterAndPage()
		b.searchAround()
		b.click(`.device h2 a[href$="` + m.wind.DID() + `"]`)
		b.await(`location.pathname === "/d/` + m.wind.DID() + `" && document.readyState === "complete"`)
		b.copyCommands(m)
		b.back()
		b.await(`location.pathname === "/" && document.readyState === "complete"`)
		b.settled()
		if q := b.query(); !strings.Contains(q, "near=40.18,44.51") || !strings.Contains(q, "within=5") {
			t.Errorf("back from the device leads to %s", q)
		}
	}
}

// unfold opens the filters where they are folded: on phones.
func (b *tab) unfold() {
	b.t.Helper()
	if !eval[bool](b, `document.getElementById("filters").open`) {
		b.click("#filters > summary")
		b.await(`document.getElementById("filters").open`)
	}
}

// filterAndPage narrows the list, turns its page and goes back.
func (b *tab) filterAndPage() {
	b.t.Helper()
	all := b.text("#count")
	b.unfold()
	b.click(`input[name=data_type][value=wind_speed]`)
	b.await(`location.search.includes("data_type=wind_speed")`)
	b.settled()
	found := b.text("#count")
	if found == all || !strings.HasSuffix(found, "devices") {
		b.t.Errorf("of %s the filter leaves %s", all, found)
	}
	if said := eval[string](b, `document.querySelector("p[role=status]").textContent`); said != found {
		b.t.Errorf("a screen reader is told %q, the page says %q", said, found)
	}
	if got := eval[int](b, `document.querySelectorAll(".device").length`); got != perPage {
		b.t.Errorf("%d are listed", got)
	}
	first := b.text(".device h2")
	b.click(`a[rel=next]`)
	b.await(`location.search.includes("after=")`)
	b.settled()
	if again := b.text("#count"); again != found {
		b.t.Errorf("the second page counts %s, the first %s", again, found)
	}
	b.await(`scrollY === 0 && document.activeElement.id === "list"`) // a new page is read from its beginning
	b.back()
	b.await(`!location.search.includes("after=")`)
	b.settled()
	if got := b.text(".device h2"); got != first || !strings.Contains(b.query(), "data_type=wind_speed") {
		b.t.Errorf("back leads to %s %s, not %s", b.query(), got, first)
	}
	b.click(`.chips a`)
	b.await(`location.search === ""`)
	b.settled()
}

// searchAround searches by text, near a city, and narrower than is offered first.
func (b *tab) searchAround() {
	b.t.Helper()
	b.run(typeInto("#q", "anemometer\r"))
	b.await(`location.search === "?q=anemometer"`)
	b.settled()
	b.unfold()
	b.run(typeInto("#place", "Yerevan\r"))
	b.await(`location.search.includes("near=40.18,44.51")`)
	b.settled()
	b.do(`(document.getElementById("within").value = "5", document.getElementById("within").dispatchEvent(new Event("change", {bubbles: true})))`)
	b.await(`location.search.includes("within=5")`)
	b.settled()
}

// copyCommands takes commands of a device's page by its buttons, one of them with the reader's address in it.
func (b *tab) copyCommands(m *market) {
	b.t.Helper()
	b.allowClipboard()
	b.await(`document.querySelector("button[data-copy=c-wind-0]:not([hidden])")`)
	b.click(`button[data-copy=c-wind-0]`)
	b.await(`document.querySelector("button[data-copy=c-wind-0]").textContent === "Copied"`)
	if got, want := b.clipboard(), "iod subscribe "+m.wind.DID()+" wind --key me.key"; got != want {
		b.t.Errorf("copied was %q, want %q", got, want)
	}
	b.run(typeInto("#mine", m.legacy.String()))
	b.click(`button[data-copy=c-grant]`)
	b.await(`document.querySelector("button[data-copy=c-grant]").textContent === "Copied"`)
	if got, want := b.clipboard(), fmt.Sprintf("iod access grant --device %s --stream wind %s --key owner.key", m.wind.DID(), m.legacy); got != want {
		b.t.Errorf("copied was %q, want %q", got, want)
	}
}

// counted is the number at the head of the list.
func counted(t *testing.T, b *tab) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(strings.Fields(strings.ReplaceAll(b.text("#count"), "No", "0"))[0], "\u202f", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMapAndListInStep(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.open("/")
	b.settled()
	all := counted(t, b)
	most := eval[string](b, `[...document.querySelectorAll(".marks a:not(.one)")].filter((a) => !a.hidden).sort((a, b) => parseInt(b.textContent) - parseInt(a.textContent))[0].textContent`)
	cluster := fmt.Sprintf(`[...document.querySelectorAll(".marks a")].find((a) => a.textContent === %q)`, most)
	b.do(cluster + `.click()`)
	b.await(`location.search.includes("bbox=")`)
	b.settled()
	after := counted(t, b)
	n, err := strconv.Atoi(most)
	if err != nil || after < n || after >= all {
		t.Errorf("a click on %s of %d leaves %d", most, all, after)
	}
	zoomed := b.query()
	// What the map shows and what the list counts is the same: every device of the list is within the map.
	if out := eval[[]string](b, outside); len(out) > 0 {
		t.Errorf("listed, but not on the map: %v", out)
	}
	at := b.box("#map canvas")
	b.drag(at.X+at.W/2, at.Y+at.H/2, at.X+at.W/2-200, at.Y+at.H/2+120)
	b.await(fmt.Sprintf(`decodeURIComponent(location.search) !== %q`, zoomed))
	b.settled()
	b.wheel(at.X+300, at.Y+300, 300)
	before := b.query()
	b.await(fmt.Sprintf(`decodeURIComponent(location.search) !== %q`, before))
	b.settled()
	if out := eval[[]string](b, outside); len(out) > 0 {
		t.Errorf("after moving: listed, but not on the map: %v", out)
	}
	b.back() // moving is no step in the history, the click on the cluster was one
	b.await(`location.search === ""`)
	b.settled()
	if got := counted(t, b); got != all {
		t.Errorf("back leads to %d devices, not %d", got, all)
	}
}

// outside lists the devices of the list whose place the map does not show.
const outside = `(() => {
	const [w, s, e, n] = new URLSearchParams(location.search).get("bbox").split(",").map(Number);
	return [...document.querySelectorAll(".device")].filter((d) => { const lat = +d.dataset.lat, lon = +d.dataset.lon; return !(lat >= s && lat <= n && (w <= e ? lon >= w && lon <= e : lon >= w || lon <= e)); }).map((d) => d.innerText);
})()`

func TestPointsAndEntries(t *testing.T) {
	t.Parallel()
	m, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.open("/?bbox=44.4,40.1,44.7,40.3")
	b.settled()
	entry := `#d-` + m.vouched.String()
	b.await(`document.querySelector("` + entry + `")`)
	at := b.box(entry)
	b.mouse(input.DispatchMouseEventTypeMouseMoved, at.X+at.W/2, at.Y+10, 0)
	b.await(`document.querySelector(".pin") && !document.querySelector(".pin").hidden`)
	pin, area := b.box(".pin"), b.box("#map")
	// The place is in the middle of the box, a tenth of a degree from its edges.
	if x := (pin.X + pin.W/2 - area.X) / area.W; x < 0.4 || x > 0.6 {
		t.Errorf("the pin of a device in the middle is at %.2f of the map", x)
	}
	b.run(chromedp.Focus(chromedp.CSS(entry + " h2 a")))
	b.await(`!document.querySelector(".pin").hidden`)

	// Of devices at one and the same place none can be parted from the others: the click lists them.
	spot := eval[string](b, `document.querySelector(".marks a[data-spot]")?.textContent ?? ""`)
	if spot == "" {
		t.Fatal("three devices at one place are no mark of their own")
	}
	b.do(`document.querySelector(".marks a[data-spot]").click()`)
	b.await(`document.querySelector("#count").textContent === "` + spot + ` devices"`)

	// A single device opens its card.
	b.open("/?q=harbour&near=50,10&within=2500")
	b.settled()
	b.await(`document.querySelector(".marks a.one:not([hidden])")`)
	did := eval[string](b, `document.querySelector(".marks a.one:not([hidden])").dataset.did`)
	b.do(`document.querySelector(".marks a.one:not([hidden])").click()`)
	b.await(`document.querySelector(".card .device a")?.getAttribute("href") === "/d/` + did + `"`)
	b.await(`document.querySelector(".card").contains(document.activeElement)`)
	b.press("Escape")
	b.await(`!document.querySelector(".card") && document.activeElement.dataset.did === "` + did + `"`)
}

// focused says what has the focus.
const focused = `(() => { const e = document.activeElement; return e === document.body ? "BODY" : e.id || (e.className || e.tagName) + " " + (e.getAttribute("aria-label") || e.textContent || "").trim().slice(0, 40); })()`

func TestByKeyboardAlone(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.allowClipboard()
	b.open("/")
	b.settled()
	b.press("Tab")
	if got := eval[string](b, focused); !strings.Contains(got, "Skip to the devices") {
		t.Fatalf("the first stop is %s", got)
	}
	if top := eval[float64](b, `document.activeElement.getBoundingClientRect().top`); top < 0 {
		t.Error("the skip link is not seen when it has the focus")
	}
	// Everything can be reached, each stop is seen, and none holds the focus.
	seen := map[string]bool{}
	for range 120 {
		b.press("Tab")
		stop := eval[struct {
			Name  string
			Ring  bool
			Shown bool
		}](b, `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
			return {Name: `+focused+`, Ring: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none" || getComputedStyle(e, "::after").outlineStyle === "solid" || e.tagName === "SELECT", Shown: r.width > 0 && r.height > 0}; })()`)
		if strings.HasPrefix(stop.Name, "BODY") {
			break
		}
		seen[stop.Name] = true
		if !stop.Ring || !stop.Shown {
			t.Errorf("the stop %q is seen: %v, has a ring: %v", stop.Name, stop.Shown, stop.Ring)
		}
	}
	for _, want := range []string{"q", "place", "locate", "f-data_type-0", "f-verified-0", "min_price", "sort"} {
		if !seen[want] {
			t.Errorf("%s cannot be reached by the Tab key; there are %s", want, asJSON(seen))
		}
	}
	// The map, by its own keys.
	b.run(chromedp.Focus(chromedp.CSS("#map canvas")))
	b.press("+")
	b.await(`location.search.includes("bbox=")`)
	b.settled()
	was := b.query()
	b.press("ArrowRight", "ArrowRight")
	b.await(fmt.Sprintf(`decodeURIComponent(location.search) !== %q`, was))
	b.settled()
	b.press("Tab", "Tab")
	b.await(`document.activeElement.closest(".marks, .tools")`)
	b.do(`document.querySelector(".marks a[tabindex='0']").focus()`)
	from := eval[string](b, `document.activeElement.dataset.lat`)
	for _, key := range []string{"ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"} {
		b.press(key)
	}
	if eval[string](b, `document.activeElement.dataset.lat ?? ""`) == "" {
		t.Errorf("arrows lead from mark %s to %s", from, eval[string](b, focused))
	}
	// From the skip link to a device, and its command into the clipboard.
	b.open("/?q=anemometer&unit=m%2Fs&near=40.19,44.55&within=5")
	b.settled()
	b.press("Tab", "Enter")
	b.await(`document.activeElement.id === "list" || location.hash === "#list"`)
	for range 12 {
		b.press("Tab")
		if eval[bool](b, `document.activeElement.matches(".device h2 a")`) {
			break
		}
	}
	b.press("Enter")
	b.await(`location.pathname.startsWith("/d/") && document.readyState === "complete"`)
	b.await(`document.querySelector("button.copy:not([hidden])")`)
	for range 40 {
		b.press("Tab")
		if eval[bool](b, `document.activeElement.dataset.copy === "c-wind-0"`) {
			break
		}
	}
	b.press("Enter")
	b.await(`document.activeElement.textContent === "Copied"`)
	if got := b.clipboard(); !strings.HasPrefix(got, "iod subscribe did:peaq:") {
		t.Errorf("copied was %q", got)
	}
}

func TestWithoutScript(t *testing.T) {
	t.Parallel()
	m, srv := open(t, nil)
	for _, width := range []int64{390, 1440} {
		b := newTab(t, srv, width, 900, false)
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		b.open("/")
		all := b.text("#count")
		if width < 1100 {
			b.click("#filters summary")
		}
		b.click(`input[name=data_type][value=wind_speed]`)
		b.click(`.apply button`)
		b.await(`location.search.includes("data_type=wind_speed")`)
		if found := b.text("#count"); found == all {
			t.Errorf("Apply leaves %s of %s", found, all)
		}
		b.shoot(fmt.Sprintf("noscript-%d", width), false)
		b.fits("the search without a script")
		b.click(`svg.picture a.many`)
		b.await(`location.search.includes("bbox=")`)
		b.click(`.moves a`)
		b.await(`location.search.includes("bbox=")`)
		b.open("/?data_type=wind_speed")
		b.click(`a[rel=next]`)
		b.await(`location.search.includes("after=")`)
		b.open("/d/" + m.named.DID())
		if !strings.Contains(b.text("main"), "iod subscribe") || !eval[bool](b, `document.querySelector("svg.picture .area").getBoundingClientRect().width > 8`) {
			t.Error("the page of a device lacks its commands or its map")
		}
		if eval[bool](b, `[...document.querySelectorAll("button")].some((e) => e.offsetParent && e.matches(".copy, #locate"))`) {
			t.Error("there are buttons that do nothing without a script")
		}
		b.shoot(fmt.Sprintf("noscript-device-%d", width), true)
	}
}

func TestHostileListingInBrowser(t *testing.T) {
	t.Parallel()
	m, srv := open(t, nil)
	for _, width := range []int64{390, 1440} {
		b := newTab(t, srv, width, 844, width == 390)
		b.open("/d/" + m.harsh.DID())
		b.await(`document.querySelector("button.copy:not([hidden])")`)
		if got := eval[int](b, `document.querySelectorAll("script").length + 100 * document.querySelectorAll("img, iframe, object, embed, [onerror]").length`); got != 1 {
			t.Errorf("there are elements that a device brought in: %d", got)
		}
		if got, want := b.text(".description"), `<script>alert(1)</script><img src=x onerror=alert(1)> </code></pre>"'`+"`"+`{{.}}`; got != want {
			t.Errorf("the description is shown as %s", got)
		}
		b.fits("a hostile device")
		b.shoot(fmt.Sprintf("hostile-%d", width), true)
		b.allowClipboard()
		b.do(`document.getElementById("c-x-2").closest("details").open = true`)
		b.click(`button[data-copy=c-x-2]`)
		b.await(`document.querySelector("button[data-copy=c-x-2]").textContent === "Copied"`)
		if got, want := b.clipboard(), `mosquitto_sub -h 127.0.0.1 -p 1883 -t 'a'\''b/$(touch /tmp/pwned)/`+"`id`"+`' -t 'ok/\"/#' -t `+strings.Repeat("long", 250)+` -v`; got != want {
			t.Errorf("copied was %s, want %s", got, want)
		}
		b.open("/")
		b.fits("a list with a hostile device")
	}
}

// TestSoonSeen loads the first page over a line of 10 Mbit/s with 40 ms of delay and nothing in the cache.
func TestSoonSeen(t *testing.T) {
	_, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.line(10e6/8, 40)
	b.open("/")
	b.settled()
	b.await(`performance.getEntriesByName("first-contentful-paint").length > 0 && performance.getEntriesByType("resource").some((e) => e.name.includes("/places."))`)
	type timing struct{ First, Loaded, Bytes, Requests float64 }
	got := eval[timing](b, `(() => { const n = performance.getEntriesByType("navigation")[0], r = performance.getEntriesByType("resource");
		return {First: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, Loaded: n.loadEventEnd, Requests: r.length + 1, Bytes: r.reduce((s, e) => s + e.transferSize, n.transferSize)}; })()`)
	t.Logf("seen after %.0f ms, loaded after %.0f ms; %.0f bytes in %.0f requests with the map", got.First, got.Loaded, got.Bytes, got.Requests)
	if got.First == 0 || got.First > 3000 || got.Bytes > 400_000 || got.Requests > 12 {
		t.Errorf("%+v is too much", got)
	}
}

func TestOperatorKeepsUp(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.open("/operator")
	b.await(`document.querySelector("#beat .text").textContent === "live" && !document.querySelector("#beat").hidden`)
	// What does not change is not touched: a mark set by the test stays.
	b.do(`document.querySelector("#n-block b").firstChild.mark = 1; document.querySelector("#n-block b").firstChild.data += ""`)
	b.do(`document.querySelector("#n-lag b").textContent = "old"`)
	b.look()
	b.await(`document.querySelector("#n-lag b").textContent === "0"`)
	if !eval[bool](b, `document.querySelector("#n-block b").firstChild.mark === 1`) {
		t.Error("a figure that did not change was written again")
	}
	b.allow("ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED", "Failed to load resource")
	b.offline(true)
	b.look()
	b.await(`document.querySelector("#beat .text").textContent.includes("does not answer")`)
	b.offline(false)
	b.look()
	b.await(`document.querySelector("#beat .text").textContent === "live"`)
}

func TestServerThatFailsIsTold(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1440, 900, false)
	b.open("/")
	b.settled()
	b.allow("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
	b.offline(true)
	b.click(`input[name=data_type][value=wind_speed]`)
	b.await(`document.querySelector("#list [role=alert]")?.innerText.includes("could not be loaded")`)
	b.offline(false)
	b.click(`#list [role=alert] a`)
	b.await(`location.search.includes("data_type=wind_speed") && !document.querySelector("#list [role=alert]")`)
	b.settled()
}

func TestNearMeAsksOnlyOnClick(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 390, 844, false)
	lat, lon, exact := 40.1811, 44.5136, 10.0
	call(b, emulation.SetGeolocationOverride, emulation.SetGeolocationOverrideParams{Latitude: &lat, Longitude: &lon, Accuracy: &exact})
	b.run(chromedp.Navigate(srv.URL + "/"))
	b.grant("geolocation")
	b.settled()
	if q := b.query(); q != "" {
		t.Errorf("the place was taken without a click: %s", q)
	}
	b.click("#filters summary")
	b.click("#locate")
	b.await(`location.search === "?near=40.18,44.51&within=50&sort=distance"`)
	b.settled()
	if !strings.Contains(b.text(".device .where"), " km ") && !strings.Contains(b.text(".device .where"), " m ") {
		t.Errorf("no distance is told: %s", b.text(".device .where"))
	}
}
