package provision

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"iod/supervise"
	"iod/update"
)

// TestMetricsAreWellFormed has Prometheus' own linter read them, with hostile text where text can be.
func TestMetricsAreWellFormed(t *testing.T) {
	days := 12.5
	s := Status{Healthy: true, Version: "v1 \"quoted\\\" \n", Streams: []string{"a", "b"}, Started: testTime,
		Balance:  BalanceStatus{Free: "1.5", DaysLeft: &days},
		Chain:    ChainStatus{Connected: true, Heard: testTime.Add(-time.Minute), Block: 7, Endpoints: []EndpointStatus{{Endpoint: "wss://x", InUse: true}, {Endpoint: "wss://y\n#"}}},
		Relays:   []RelayStatus{{Relay: "tls://a:1/x", Connected: true, RTT: 12}, {Relay: "tls://b:1/x"}},
		Programs: []update.Status{{ProgramStatus: supervise.ProgramStatus{Name: "p", State: supervise.Running, Restarts: 3}}},
		Sessions: []SessionView{{Stream: "a"}, {Stream: "a"}, {Stream: "gone"}}, Traffic: TrafficStatus{Sessions: 5, In: 1, Out: 2, Refused: 9}}
	text := metrics(s, testTime)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v in\n%s", problems, err, text)
	}
	for _, want := range []string{
		"iod_healthy 1\n", "iod_sessions{stream=\"a\"} 2\n", "iod_sessions{stream=\"b\"} 0\n", "iod_chain_silence_seconds 60\n",
		"iod_relay_connected{relay=\"tls://b:1/x\"} 0\n", "iod_relay_rtt_seconds{relay=\"tls://a:1/x\"} 0.012\n", "iod_balance_lasts_seconds 1.08e+06\n",
		"iod_program_restarts_total{program=\"p\"} 3\n", "iod_session_bytes_total{direction=\"out\"} 2\n", "iod_refusals_total 9\n",
		`iod_build_info{version="v1 \"quoted\\\" \n"} 1` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := metrics(Status{}, testTime); strings.Contains(text, "silence") || strings.Contains(text, "iod_balance ") {
		t.Errorf("what is not known is told:\n%s", text)
	}
}

func TestTextOf(t *testing.T) {
	for line, ok := range map[string]bool{
		"00400000-00a1f000 r-xp 00000000 fe:00 1234                       /usr/bin/iod":           true,
		"00a1f000-01000000 r--p 0061f000 fe:00 1234                       /usr/bin/iod":           true,
		"01000000-01050000 rw-p 00c00000 fe:00 1234                       /usr/bin/iod":           false,
		"00400000-00a1f000 r-xp 00000000 fe:00 1234                       /usr/bin/other":         false,
		"00400000-00a1f000 r-xs 00000000 fe:00 1234                       /usr/bin/iod":           false,
		"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                  [stack]":                false,
		"00400000-00a1f000 r-xp 00000000 fe:00 1234                       /usr/bin/iod (deleted)": false,
		"": false,
	} {
		from, to, got := textOf(line, "/usr/bin/iod")
		if got != ok || ok && to <= from {
			t.Errorf("%q: %x-%x %v", line, from, to, got)
		}
	}
}

// TestDropText takes this test's own code out of memory, which is none the worse for it.
func TestDropText(t *testing.T) {
	before := resident()
	if err := dropText(); err != nil {
		t.Skip(err)
	}
	after := resident()
	if len(strings.Repeat("x", 1000)) != 1000 || os.Getpid() == 0 {
		t.Error("it runs no more as it should")
	}
	t.Logf("resident %d → %d kB", before>>10, after>>10)
	if before > 0 && after >= before {
		t.Error("nothing was given back")
	}
}
