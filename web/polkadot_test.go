//go:build unix

package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"iod/interop"
	"iod/key"
)

// TestPolkadotJSPublishes: devices that the polkadot.js API writes appear on the pages, and what happens to them later does.
func TestPolkadotJSPublishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pair, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	type done struct {
		Alice, Bob       string
		Block, Extrinsic uint32
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := interop.Command(ctx, t, "marketplace.mjs", w.rpc, pair.NodeKey().ID().String())
	var errs bytes.Buffer
	script.Stderr = &errs
	in, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := script.Wait(); err != nil {
			t.Errorf("marketplace.mjs: %v\n%s", err, errs.String())
		}
	}()
	answers := json.NewDecoder(out)
	do := func(what string) (d done) {
		t.Helper()
		if _, err := fmt.Fprintln(in, what); err != nil {
			t.Fatal(err)
		}
		if err := answers.Decode(&d); err != nil {
			t.Fatalf("marketplace.mjs %s: %v", what, err)
		}
		return d
	}
	at := do("publish")
	did, other := "did:peaq:"+at.Alice, "did:peaq:"+at.Bob
	w.page("/d/"+did, "Signed by the device")
	w.page("/d/"+other, "Nobody signed it")

	b := newTabAt(t, w.pages, 1280, 800, false)
	b.open("/")
	b.await(`document.querySelector("#count").textContent === "2 devices" && document.querySelectorAll(".marks a.one").length === 2`)
	b.run(typeInto("#q", "polkadot\r"))
	b.await(`document.querySelector("#count").textContent === "1 device"`)
	b.click(`.device h2 a`)
	b.await(`location.pathname === "/d/` + did + `" && document.readyState === "complete"`)
	for _, want := range []string{"Wind speed", "42.03995 PEAQ for 30 days: about 1.4 a day.", "42039950000000000000", "Zürich, Switzerland", "written by polkadot.js",
		"from/polkadot-js/#", "The device's key signed it", "iod subscribe " + did + " wind", fmt.Sprintf("%d-%d", at.Block, at.Extrinsic)} {
		if !strings.Contains(b.text("main"), want) {
			t.Errorf("the page of the signed device does not say %q", want)
		}
	}
	b.shoot("polkadot-js-device", true)
	b.open("/?verified=false")
	b.await(`document.querySelector("#count").textContent === "1 device" && document.querySelector(".device h2").innerText.startsWith("Noise")`)

	do("disturb")
	w.page("/d/"+did, "Its record on the chain was disturbed")
	do("renew")
	w.page("/d/"+did, "7 PEAQ for 30 days")
	at = do("remove")
	w.page("/d/"+did, "This listing has ended")
	b.open("/d/" + did)
	history := strings.Fields(b.text("#history tbody"))
	for _, want := range []string{"Ended", "unbelievable", "Published", fmt.Sprintf("%d-%d", at.Block, at.Extrinsic), at.Bob[:6] + "…" + at.Bob[len(at.Bob)-4:]} {
		if !strings.Contains(strings.Join(history, " "), want) {
			t.Errorf("the history lacks %q: %s", want, history)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("#history tbody tr").length`); n != 4 {
		t.Errorf("the history has %d lines, want 4", n)
	}
	b.shoot("polkadot-js-ended", true)
}
