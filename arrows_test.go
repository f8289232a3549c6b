package iod

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms lists the packages from the top down. A package may import those below it only, and only the ones on
// other lines than its own unless alone there; forbidden pairs come on top.
var rooms = [][]string{
	{"e2e"},
	{"packaging"},
	{"cmd/iod"},
	{"demo"},
	{"web"},
	{"api"},
	{"api/dialect"},
	{"api/schema"},
	{"api/transport"},
	{"index/sqlite", "index/postgres"},
	{"index/storetest", "index/market"},
	{"index/atlas", "index/growth"},
	{"index/feed"},
	{"index"},
	{"fleet"},
	{"provision"},
	{"mqtt"},
	{"access"},
	{"document"},
	{"pallet/did", "pallet/rbac"},
	{"devchain/devchaintest"},
	{"devchain"},
	{"overlay"},
	{"overlay/wire"},
	{"chain"},
	{"chain/rpc"},
	{"metadata"},
	{"update"},
	{"supervise"},
	{"supervise/shepherd"},
	{"key"},
	{"scale"},
	{"web/earth/make"},
	{"web/earth"},
	{"spelling"},
	{"control"},
	{"live"},
	{"systemd"},
	{"audit"},
	{"clock"},
	{"keepalive"},
	{"link"},
	{"index/postgres/pgtest"},
	{"index/pack"},
	{"spareport"},
}

// forbidden names arrows that the order alone would allow: the development chain and the client meet on the wire only,
// and the overlay asks its gate through an interface of its own.
var forbidden = map[string][]string{
	"devchain":       {"chain", "chain/rpc"},
	"overlay":        {"chain", "chain/rpc", "metadata", "access", "document"},
	"overlay/wire":   {"chain", "chain/rpc", "metadata"},
	"chain":          {"supervise"},
	"mqtt":           {"overlay", "chain", "access", "document", "devchain"},
	"provision":      {"devchain"},
	"fleet":          {"devchain", "overlay", "index"},
	"access":         {"devchain", "overlay"},
	"document":       {"devchain", "overlay", "chain"},
	"pallet/did":     {"devchain", "overlay"},
	"pallet/rbac":    {"devchain", "overlay"},
	"index":          {"devchain", "overlay", "provision"},
	"api":            {"devchain", "overlay", "provision"},
	"api/dialect":    {"chain", "devchain", "overlay", "access"},
	"api/schema":     {"index", "key", "document"},
	"api/transport":  {"index", "key", "document"},
	"examples":       {"key", "chain", "document", "overlay", "access"},
	"index/sqlite":   {"devchain", "overlay", "chain", "index/market"},
	"index/market":   {"devchain", "overlay", "chain"},
	"index/growth":   {"devchain", "overlay", "chain", "provision"},
	"index/atlas":    {"devchain", "overlay", "chain", "provision"},
	"index/feed":     {"devchain", "overlay", "chain", "provision"},
	"index/postgres": {"devchain", "overlay", "chain"},
	"supervise":      {"key", "scale"},
	"chain/rpc":      {"key"},
	"metadata":       {"key", "supervise"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

// packages asks the go command for every package of the module.
func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func rank(pkg string) int {
	return slices.IndexFunc(rooms, func(line []string) bool { return slices.Contains(line, pkg) })
}

func TestArrowsPointDown(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, "iod/")
		if from == "iod" || strings.HasPrefix(from, "examples/") || strings.HasPrefix(from, "interop") {
			continue
		}
		if rank(from) < 0 {
			t.Errorf("package %s has no place in the list of rooms", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, "iod/")
			if !ours {
				continue
			}
			checked++
			if rank(to) <= rank(from) && !strings.HasPrefix(to, "examples/") {
				t.Errorf("%s imports %s, which is not below it", from, to)
			}
			if slices.Contains(forbidden[from], to) {
				t.Errorf("%s must not import %s", from, to)
			}
		}
	}
	if checked < 10 {
		t.Fatalf("only %d imports were checked", checked)
	}
}

func TestScaleUsesStandardLibraryOnly(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if p.ImportPath == "iod/scale" && strings.Contains(imp, ".") {
				t.Errorf("scale imports %s", imp)
			}
		}
	}
}
