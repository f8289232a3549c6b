package provision

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metricsPath is where the metrics are.
const metricsPath = "/metrics"

// serveMetrics serves the metrics where the manifest wants them, and moves with it, until ctx ends. An address that cannot be had is
// told and tried again; the device runs on.
func (d *Device) serveMetrics(ctx context.Context) error {
	for ctx.Err() == nil {
		address := d.manifest.Load().Metrics
		if address == "" {
			select {
			case <-d.metricsMoved:
			case <-ctx.Done():
			}
			continue
		}
		if err := d.metricsAt(ctx, address); err != nil {
			d.log.Warn("metrics cannot be served", "address", address, "err", err)
			d.pauseMetrics(ctx)
		}
	}
	return nil
}

// pauseMetrics waits for another address, or for a while.
func (d *Device) pauseMetrics(ctx context.Context) {
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case <-d.metricsMoved:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// metricsAt serves at an address until that changes or ctx ends.
func (d *Device) metricsAt(ctx context.Context, address string) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, metrics(d.Status(), d.clock.Now())) // who asked may have left
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	for moved := false; !moved; {
		select {
		case err := <-served:
			return err
		case <-d.metricsMoved:
			moved = d.manifest.Load().Metrics != address
		case <-ctx.Done():
			moved = true
		}
	}
	srv.Close()
	<-served
	return nil
}

// exposition writes metrics in Prometheus' text format.
type exposition struct{ strings.Builder }

// family begins metrics of one name.
func (x *exposition) family(name, kind, help string) {
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
}

// sample writes one value; labels are name, value, name, value ….
func (x *exposition) sample(name string, value float64, labels ...string) {
	x.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(x, "%s%s=\"%s\"", sep, labels[i], labelText.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		x.WriteByte('}')
	}
	x.WriteByte(' ')
	x.WriteString(strconv.FormatFloat(value, 'g', -1, 64))
	x.WriteByte('\n')
}

// labelText escapes what a label's value may not hold.
var labelText = strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n")

// one writes a family of one value.
func (x *exposition) one(name, kind, help string, value float64) {
	x.family(name, kind, help)
	x.sample(name, value)
}

func flagValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metrics is a status in Prometheus' text format. It is pure.
func metrics(s Status, now time.Time) string {
	var x exposition
	x.one("iod_healthy", "gauge", "1 while nothing is wrong with the device.", flagValue(s.Healthy))
	x.one("iod_problems", "gauge", "What is wrong, counted.", float64(len(s.Problems)))
	x.family("iod_build_info", "gauge", "The version of the program.")
	x.sample("iod_build_info", 1, "version", s.Version)
	x.one("iod_start_time_seconds", "gauge", "When the device started, by the best estimate of the time.", float64(s.Started.Unix()))
	x.one("iod_document_in_step", "gauge", "1 while the document on the chain says what the manifest says.", flagValue(s.Document.State == "in step"))
	x.one("iod_manifest_refused", "gauge", "1 while the device goes by an earlier manifest, since the new one has mistakes.", flagValue(s.Manifest.Refused != nil))
	x.one("iod_clock_offset_seconds", "gauge", "What the machine's clock is wrong by; 0 while it is believed.", s.Clock.Offset)
	if n, err := strconv.ParseFloat(s.Balance.Free, 64); err == nil {
		x.one("iod_balance", "gauge", "What the account holds, in tokens.", n)
	}
	if s.Balance.DaysLeft != nil {
		x.one("iod_balance_lasts_seconds", "gauge", "How long the balance lasts at the use of late.", *s.Balance.DaysLeft*24*3600)
	}
	x.one("iod_balance_low", "gauge", "1 when the account is to be funded.", flagValue(s.Balance.Low))
	x.chain(s.Chain, now)
	x.relays(s.Relays)
	x.programs(s)
	x.access(s)
	x.one("process_resident_memory_bytes", "gauge", "Resident memory.", float64(s.Process.Resident))
	x.one("go_goroutines", "gauge", "Goroutines.", float64(s.Process.Goroutines))
	return x.String()
}

func (x *exposition) chain(c ChainStatus, now time.Time) {
	x.one("iod_chain_connected", "gauge", "1 while a chain endpoint is connected.", flagValue(c.Connected))
	if !c.Heard.IsZero() {
		x.one("iod_chain_silence_seconds", "gauge", "Since the last word of any chain endpoint.", now.Sub(c.Heard).Seconds())
	}
	x.one("iod_chain_block", "gauge", "The block that was looked at last.", float64(c.Block))
	x.family("iod_chain_endpoint_in_use", "gauge", "Which endpoint is in use.")
	for _, e := range c.Endpoints {
		x.sample("iod_chain_endpoint_in_use", flagValue(e.InUse), "endpoint", e.Endpoint)
	}
}

func (x *exposition) relays(relays []RelayStatus) {
	x.family("iod_relay_connected", "gauge", "1 while a relay is connected.")
	for _, r := range relays {
		x.sample("iod_relay_connected", flagValue(r.Connected), "relay", r.Relay)
	}
	x.family("iod_relay_rtt_seconds", "gauge", "Of the last question that a relay answered.")
	for _, r := range relays {
		if r.Connected {
			x.sample("iod_relay_rtt_seconds", r.RTT/1000, "relay", r.Relay)
		}
	}
}

func (x *exposition) programs(s Status) {
	x.family("iod_program_running", "gauge", "1 while a program runs and is ready.")
	for _, p := range s.Programs {
		x.sample("iod_program_running", flagValue(p.State == "running"), "program", p.Name)
	}
	x.family("iod_program_restarts_total", "counter", "Starts of a program after the first.")
	for _, p := range s.Programs {
		x.sample("iod_program_restarts_total", float64(p.Restarts), "program", p.Name)
	}
}

// access counts sessions by stream: accounts are many, and nobody's business who may read metrics.
func (x *exposition) access(s Status) {
	sessions := map[string]int{}
	for _, v := range s.Streams {
		sessions[v] = 0
	}
	for _, v := range s.Sessions {
		sessions[v.Stream]++
	}
	x.family("iod_sessions", "gauge", "Sessions of a stream.")
	for _, v := range s.Streams {
		x.sample("iod_sessions", float64(sessions[v]), "stream", v)
	}
	x.one("iod_requests_waiting", "gauge", "Requests that wait for a grant.", float64(s.Waiting))
	x.family("iod_session_bytes_total", "counter", "Bytes of all sessions since the start; in is from consumers.")
	x.sample("iod_session_bytes_total", float64(s.Traffic.In), "direction", "in")
	x.sample("iod_session_bytes_total", float64(s.Traffic.Out), "direction", "out")
	x.one("iod_sessions_total", "counter", "Sessions since the start.", float64(s.Traffic.Sessions))
	x.one("iod_refusals_total", "counter", "Requests that were refused or dropped since the start.", float64(s.Traffic.Refused))
}
