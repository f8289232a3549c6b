package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// scene is all of a search page that its address should bring back.
type scene struct {
	Search string   // of the address
	Count  string   // above the list
	IDs    []string // of the devices listed
	Chips  []string
	Form   []string // names and values of the fields that are filled in
	Marks  []string // on the map, what they say and where they are
}

const sceneOf = `(() => ({
	Search: location.search, Count: document.getElementById("count").textContent, IDs: [...document.querySelectorAll(".device")].map((e) => e.id),
	Chips: [...document.querySelectorAll(".chips a")].map((e) => e.innerText), Form: [...new FormData(document.getElementById("search"))].filter(([, v]) => v).map((e) => e.join("=")),
	Marks: [...document.querySelectorAll(".marks a:not([hidden])")].map((e) => e.textContent + " " + (+e.dataset.lat).toFixed(3) + "," + (+e.dataset.lon).toFixed(3)).sort(),
}))()`

// still waits until list and map rest, and returns what is to be seen.
func (b *tab) still() (s scene) {
	b.t.Helper()
	b.settled()
	for last := ""; ; last = asJSON(s) {
		b.await(`!document.querySelector("#list[aria-busy]")`)
		b.do(`await new Promise((r) => setTimeout(r, 40))`)
		if s = eval[scene](b, sceneOf); asJSON(s) == last {
			return s
		}
	}
}

func (a scene) differs(b scene) string {
	for _, c := range []struct{ name, a, b string }{{"address", a.Search, b.Search}, {"count", a.Count, b.Count}, {"list", asJSON(a.IDs), asJSON(b.IDs)},
		{"chips", asJSON(a.Chips), asJSON(b.Chips)}, {"form", asJSON(a.Form), asJSON(b.Form)}, {"map", asJSON(a.Marks), asJSON(b.Marks)}} {
		if c.a != c.b {
			return fmt.Sprintf("%s: %s, not %s", c.name, c.a, c.b)
		}
	}
	return ""
}

// TestAddressHoldsEverything: back and forward lead through all that was seen, and whoever is sent an address sees the same, by the same
// window at once and without a script.
func TestAddressHoldsEverything(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 1280, 800, false)
	b.open("/")
	path := []scene{b.still()}
	step := func(do func(), came string) {
		t.Helper()
		do()
		b.await(came)
		path = append(path, b.still())
	}
	step(func() { b.click(`input[name=data_type][value=temperature]`) }, `location.search.includes("data_type=temperature")`)
	step(func() { b.click(`input[name=data_type][value=wind_speed]`) }, `location.search.includes("wind_speed")`)
	step(func() { b.click(`input[name=verified][value=true]`) }, `location.search.includes("verified=true")`)
	step(func() { b.run(typeInto("#max_price", "400\r")) }, `location.search.includes("max_price=400")`)
	step(func() {
		b.do(`document.getElementById("sort").value = "-price"; document.getElementById("sort").dispatchEvent(new Event("change", {bubbles: true}))`)
	},
		`location.search.includes("sort=-price")`)
	step(func() { b.click(`a[rel=next]`) }, `location.search.includes("after=")`)
	step(func() { b.run(typeInto("#place", "Germany\r")) }, `location.search.includes("near=")`)
	for i := len(path) - 2; i >= 0; i-- {
		b.back()
		b.await(fmt.Sprintf(`location.search === %q`, path[i].Search))
		if d := b.still().differs(path[i]); d != "" {
			t.Errorf("back to step %d: %s", i, d)
		}
	}
	for i := 1; i < len(path); i++ {
		b.do(`history.forward()`)
		b.await(fmt.Sprintf(`location.search === %q`, path[i].Search))
		if d := b.still().differs(path[i]); d != "" {
			t.Errorf("forward to step %d: %s", i, d)
		}
	}
	for _, i := range []int{len(path) - 2, len(path) - 1} {
		other := newTab(t, srv, 1280, 800, false)
		other.open("/" + path[i].Search)
		if d := other.still().differs(path[i]); d != "" {
			t.Errorf("who is sent the address of step %d sees another %s", i, d)
		}
		var ids []string
		for _, m := range deviceOf.FindAllStringSubmatch(get(t, srv, "/"+path[i].Search).body, -1) {
			ids = append(ids, "d-"+m[1])
		}
		if !slices.Equal(ids, path[i].IDs) {
			t.Errorf("the page of step %d lists others without its script", i)
		}
	}
}

// TestFreshAndProven narrow the list to what they say.
func TestFreshAndProven(t *testing.T) {
	t.Parallel()
	_, srv := open(t, nil)
	b := newTab(t, srv, 375, 740, false)
	b.open("/")
	b.settled()
	all := counted(t, b)
	b.unfold()
	b.click(`input[name=since][value="1h"]`)
	b.await(`location.search === "?since=1h"`)
	b.settled()
	fresh := counted(t, b)
	oldest := eval[string](b, `[...document.querySelectorAll(".device time")].map((e) => e.dateTime).sort()[0]`)
	if at, err := time.Parse(time.RFC3339, oldest); err != nil || clock().Sub(at) > time.Hour || fresh == 0 || fresh >= all {
		t.Errorf("within an hour of %v there are %d of %d, the oldest of %s: %v", clock(), fresh, all, oldest, err)
	}
	b.click(`input[name=verified][value=false]`)
	b.await(`location.search.includes("verified=false")`)
	b.settled()
	if got := b.text(".device .proof"); counted(t, b) != 1 || got != "Not signed" {
		t.Errorf("not signed: %d devices, %s", counted(t, b), got)
	}
	b.click(`input[name=verified][value=true]`)
	b.await(`location.search.includes("verified=true")`)
	b.settled()
	if n := eval[int](b, `document.querySelectorAll(".device .proof.none").length`); n != 0 || counted(t, b) != fresh-1 {
		t.Errorf("of the proven ones %d are not, and there are %d, not %d", n, counted(t, b), fresh-1)
	}
	if chips := strings.Join(eval[[]string](b, `[...document.querySelectorAll(".chips bdi")].map((e) => e.textContent)`), ", "); chips != "proven only, an hour" {
		t.Errorf("the filters that are on are %q", chips)
	}
}
