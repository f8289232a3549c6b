package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take for what a test waits for.
const patience = 20 * time.Second

// chromium is the browser that tests share, started at the first use, and ended with the tests.
var chromium struct {
	sync.Once
	ctx  context.Context
	stop func()
	err  error
}

// startChromium starts a browser with a profile of its own, that speaks to no other host.
func startChromium() {
	path, err := exec.LookPath("chromium")
	if err != nil {
		chromium.err = fmt.Errorf("no Chromium here (Debian package chromium): %w", err)
		return
	}
	dir, err := os.MkdirTemp("", "iod-chromium-")
	if err != nil {
		chromium.err = err
		return
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en"),
	)...)
	tab, cancelTab := chromedp.NewContext(ctx)
	chromium.ctx = tab
	chromium.stop = func() {
		_ = chromedp.Cancel(tab) // it ends with its allocator anyway
		cancelTab()
		cancel()
		os.RemoveAll(dir)
	}
	chromium.err = chromedp.Do(tab)
}

// tab is a page in the browser, with all that it should not have done.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu      sync.Mutex
	faults  []string // console errors, exceptions, violations of the policy, requests to elsewhere, dialogs
	allowed []string // parts of faults that the test expects
}

// newTab opens a page of a size. At the end of the test it must have no faults.
func newTab(t *testing.T, srv *httptest.Server, width, height int64, dark bool) *tab {
	t.Helper()
	return newTabAt(t, srv.URL, width, height, dark)
}

// newTabAt is newTab for pages at a URL.
func newTabAt(t *testing.T, base string, width, height int64, dark bool) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	chromium.Do(startChromium)
	if chromium.err != nil {
		t.Skipf("SKIPPED: PAGES NOT SEEN IN A BROWSER: %v", chromium.err)
	}
	b := &tab{t: t, base: base}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	b.ctx = ctx
	t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.faults {
			t.Errorf("the browser complains: %s", f)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // opens the page; its context has no end in time
		t.Fatalf("browser: %v", err)
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, audits.Enable, runtime.Enable} {
		call(b, enable, cdp.Empty{})
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, page.Enable, page.EnableParams{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}) // tests run side by side
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	call(b, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: width < 500})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	return b
}

// call sends a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("browser: %s: %v", command.Method, err)
	}
	return r
}

func (b *tab) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	for _, a := range b.allowed {
		if strings.Contains(text, a) {
			return
		}
	}
	b.faults = append(b.faults, text)
}

// allow has the test expect complaints with these words.
func (b *tab) allow(words ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, words...)
}

func (b *tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.fault("console %s: %s", e.Type, asJSON(e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", asJSON(e.ExceptionDetails))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.fault("log %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details; d.ContentSecurityPolicyIssueDetails != nil {
			b.fault("policy: %+v", *d.ContentSecurityPolicyIssueDetails)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.base) && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "about:") {
			b.fault("request to elsewhere: %s", u)
		}
	case *page.EventJavascriptDialogOpening:
		b.fault("dialog: %s", e.Message)
	}
}

// run does what a test wants done, in time.
func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// open goes to an address of the server and waits until it is loaded.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base + path))
}

// back presses the browser's button. A page that the browser has kept is not loaded again, so the test awaits what it wants to see.
func (b *tab) back() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void]("history.back()")) // the page goes, and its answer with it
}

// eval returns what an expression of the page's script comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("browser: %.120s: %v", expression, err)
	}
	return v
}

// do has the page's script do something.
func (b *tab) do(statements string) {
	b.t.Helper()
	eval[bool](b, "(async () => { "+statements+"\n; return true; })()")
}

// await waits until an expression is true, on whatever page that is.
func (b *tab) await(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(15 * time.Millisecond)
	defer again.Stop()
	for {
		if v, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && v {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			b.t.Fatalf("%s does not come true at %s\n%.600s", expression, eval[string](b, "location.href"), eval[string](b, "document.body.innerText"))
		}
	}
}

// settled waits until the map has its marks and the list has come.
func (b *tab) settled() {
	b.t.Helper()
	b.await(`document.querySelectorAll(".marks a").length > 0 && !document.querySelector("#list[aria-busy]")`)
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// query is the address's query, decoded.
func (b *tab) query() string {
	b.t.Helper()
	return eval[string](b, "decodeURIComponent(location.search)")
}

// click presses what a selector finds, by the mouse, where it is seen.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// typeInto types text into a field.
func typeInto(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.CSS(selector), text)
}

// press types keys: single characters, or names of keys in the form of the DOM.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	codes := map[string]int64{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
	for _, k := range keys {
		down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Code: k, WindowsVirtualKeyCode: codes[k]}
		switch k {
		case "Enter":
			down.Text = "\r"
		case " ", "+", "-", "0":
			down.Text, down.Code = k, ""
		}
		call(b, input.DispatchKeyEvent, down)
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: k, Code: down.Code, WindowsVirtualKeyCode: codes[k]})
	}
}

// drag moves the mouse from one point to another with its button down.
func (b *tab) drag(x0, y0, x1, y1 float64) {
	b.t.Helper()
	b.mouse(input.DispatchMouseEventTypeMouseMoved, x0, y0, 0)
	b.mouse(input.DispatchMouseEventTypeMousePressed, x0, y0, 1)
	for i := range 5 {
		f := float64(i+1) / 5
		b.mouse(input.DispatchMouseEventTypeMouseMoved, x0+(x1-x0)*f, y0+(y1-y0)*f, 1)
	}
	b.mouse(input.DispatchMouseEventTypeMouseReleased, x1, y1, 1)
}

func (b *tab) mouse(kind input.DispatchMouseEventType, x, y float64, buttons int64) {
	b.t.Helper()
	p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Buttons: buttons}
	if buttons > 0 {
		p.Button, p.ClickCount = input.MouseButtonLeft, 1
	}
	call(b, input.DispatchMouseEvent, p)
}

// wheel turns the mouse's wheel at a point.
func (b *tab) wheel(x, y, by float64) {
	b.t.Helper()
	// The command's own parameters leave out a deltaX of 0, which the browser wants to be told.
	call(b, cdp.Command[map[string]any, cdp.Empty]{Method: input.CommandDispatchMouseEvent},
		map[string]any{"type": input.DispatchMouseEventTypeMouseWheel, "x": x, "y": y, "deltaX": 0, "deltaY": by})
}

// line has the page's requests go over a line of so many bytes a second with a delay; nothing is taken from the cache.
func (b *tab) line(bytes, delay float64) {
	b.t.Helper()
	call(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{
		{Latency: delay, DownloadThroughput: bytes, UploadThroughput: bytes}}})
}

// offline has all requests fail, or not any more.
func (b *tab) offline(yes bool) {
	b.t.Helper()
	call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{
		{Offline: yes, DownloadThroughput: -1, UploadThroughput: -1}}})
}

// box is where an element is seen.
type box struct{ X, Y, W, H float64 }

func (b *tab) box(selector string) box {
	b.t.Helper()
	return eval[box](b, fmt.Sprintf("(() => { const r = document.querySelector(%q).getBoundingClientRect(); return {X: r.x, Y: r.y, W: r.width, H: r.height}; })()", selector))
}

// clipboard lets the page write it, and returns what is in it.
func (b *tab) clipboard() string {
	b.t.Helper()
	return eval[string](b, "navigator.clipboard.readText()")
}

// clipboard is the browser's, for all its tabs: a test that uses it keeps it to its end.
var clipboard struct {
	sync.Mutex
	owner sync.Map // the test that has it
}

func (b *tab) allowClipboard() {
	b.t.Helper()
	if _, mine := clipboard.owner.LoadOrStore(b.t, true); !mine {
		clipboard.Lock()
		b.t.Cleanup(clipboard.Unlock)
	}
	b.grant("clipboard-read", "clipboard-write")
}

// grant gives the server's pages permissions.
func (b *tab) grant(names ...string) {
	b.t.Helper()
	for _, name := range names {
		_, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: name},
			Setting: browser.PermissionSettingGranted, Origin: b.base, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID})
		if err != nil {
			b.t.Fatalf("browser: permission %s: %v", name, err)
		}
	}
}

// artefacts is the directory in which screenshots are kept: IOD_SCREENSHOTS, or bin/screenshots, which git does not see.
func artefacts(t *testing.T) string {
	dir := os.Getenv("IOD_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", "bin", "screenshots")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Logf("screenshots are not kept: %v", err)
		return t.TempDir()
	}
	return dir
}

// shoot keeps a picture of the page: of the part that is seen, or of all of it.
func (b *tab) shoot(name string, whole bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, take)
	if err != nil || len(png) < 2000 {
		b.t.Errorf("the picture of %s has %d bytes: %v", name, len(png), err)
	}
	if err := os.WriteFile(filepath.Join(artefacts(b.t), name+".png"), png, 0o644); err != nil {
		b.t.Logf("the picture is not kept: %v", err)
	}
}

// fits fails when the page is wider than its window.
func (b *tab) fits(what string) {
	b.t.Helper()
	wide := eval[[]string](b, `(() => {
		if (document.documentElement.scrollWidth <= innerWidth) return [];
		return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .code, #map, .unseen"))
			.slice(0, 5).map((e) => e.tagName + "." + e.className + " " + Math.round(e.getBoundingClientRect().right)).concat("page " + document.documentElement.scrollWidth);
	})()`)
	if len(wide) > 0 {
		b.t.Errorf("%s is wider than its window: %v", what, wide)
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
