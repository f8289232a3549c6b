package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"iod/index/postgres/pgtest"
	"iod/spareport"
)

func TestMain(m *testing.M) {
	testscript.Main(pgtest.Main(m), map[string]func(){
		"iod": func() { os.Exit(Main()) },
	})
}

// TestScripts runs what a user types and reads, on the real main. Beside testscript's own commands there are
//
//	exits CODE CMD …          run a command that must end with this exit code
//	stay NAME CMD …           start a command that stays; it is ended with the script
//	await NAME REGEXP [VAR]   wait for a line of its output; the first group goes into $VAR
//	signal NAME INT|TERM|HUP|KILL
//	ended NAME CODE           wait for its end, with this exit code (-1: by a signal)
//	take VAR REGEXP           put the first group found in the last output into $VAR
//	until REGEXP CMD …        repeat a command until its output matches
//	port VAR                  a port of loopback that nobody listens on
//	network [FLAG …]          start a chain and a relay, make and fund keys; see there for the variables that it sets
//	fill FILE                 replace the $VARIABLES in a file
//	forge DID overwrite|remove  what a stranger can do to a device's document
//	echo-udp VAR              a UDP service that answers with what it is asked
//	ask-udp ADDRESS TEXT      ask it
//	no-processes DIR [soon]   nothing runs in this directory
//	kill-in DIR SUBCOMMAND    kill -9 the iod that runs there
//	old-broker VAR            an MQTT broker that knows 3.1.1 only
//	web-page VAR              a web server that knows nothing of chains and indexes
//	postgres VAR [tcp]        an empty PostgreSQL database's URL, of a Unix socket, or of a port that wants a password; condition [postgres]: there can be one
//	mode FILE OCTAL           the file has exactly these permissions
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts were found (%v), want more", len(scripts), err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "HOME="+e.WorkDir+"/home", "XDG_CACHE_HOME="+e.WorkDir+"/cache",
				"GORACE=atexit_sleep_ms=0") // the race detector's default is to sleep for a second at the end of each process
			e.Values[running{}] = map[string]*staying{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "postgres" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := pgtest.Shared()
			if errors.Is(err, pgtest.ErrAbsent) {
				return false, nil
			}
			return true, err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "stay": stay, "await": await, "signal": signalTo, "ended": ended,
			"take": take, "until": until, "port": port, "mode": mode,
			"network": network, "fill": fill, "forge": forge, "echo-udp": echoUDP, "ask-udp": askUDP, "no-processes": noProcesses, "kill-in": killIn, "old-broker": oldBroker, "web-page": webPage, "postgres": postgresDatabase,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	// A command that stays although it should end fails its script soon, not with the deadline of all tests.
	if err := ts.Exec("timeout", append([]string{"--foreground", "--signal=KILL", "60"}, args[1:]...)...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %q: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func postgresDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: postgres VAR [tcp]")
	}
	s, err := pgtest.Shared()
	ts.Check(err)
	name, err := s.Create()
	ts.Check(err)
	url := s.URL(name)
	if len(args) == 2 {
		url = s.TCP(name)
	}
	ts.Setenv(args[0], url)
}

func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take VAR REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	out := ts.ReadFile("stdout") + "\n" + ts.ReadFile("stderr")
	m := re.FindStringSubmatch(out)
	if len(m) < 2 {
		ts.Fatalf("nothing matches %s with a group in:\n%s", re, out)
	}
	ts.Setenv(args[0], m[1])
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP CMD …")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if err := ts.Exec(args[1], args[2:]...); err == nil && re.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q never printed %s but at last:\n%s%s", args[1:], re, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port VAR")
	}
	free, err := spareport.Find()
	ts.Check(err)
	ts.Setenv(args[0], free)
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	want, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm(); got != os.FileMode(want) {
		ts.Fatalf("%s has mode %04o, want %04o", args[0], got, want)
	}
}
