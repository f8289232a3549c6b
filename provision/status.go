package provision

import (
	"os"
	"runtime"
	"slices"
	"time"

	"iod/access"
	"iod/chain"
	"iod/pallet/did"
	"iod/update"
)

// Status is a device at a moment. Times are by the best estimate of the real time, whatever the machine's clock says.
type Status struct {
	Healthy  bool     `json:"healthy"`
	Problems []string `json:"problems"` // why it is not; sentences for people
	Notes    []string `json:"notes"`    // what is to be known although nothing is wrong

	Version  string          `json:"version"`
	Started  time.Time       `json:"started"`
	Identity IdentityStatus  `json:"identity"`
	Manifest ManifestStatus  `json:"manifest"`
	Document DocumentStatus  `json:"document"`
	Balance  BalanceStatus   `json:"balance"`
	Chain    ChainStatus     `json:"chain"`
	Clock    ClockStatus     `json:"clock"`
	Relays   []RelayStatus   `json:"relays"`
	Programs []update.Status `json:"programs"`
	Sessions []SessionView   `json:"sessions"`
	Leases   []LeaseView     `json:"leases"`
	Waiting  int             `json:"waiting"` // requests that wait for a grant
	Streams  []string        `json:"streams"` // that are shared
	Traffic  TrafficStatus   `json:"traffic"`
	Refusals []RefusalView   `json:"refusals"`
	State    StateStatus     `json:"state"`
	Process  ProcessStatus   `json:"process"`
}

// IdentityStatus is who the device is.
type IdentityStatus struct {
	DID     string `json:"did"`
	Address string `json:"address"`
	Node    string `json:"node"`
	Owner   string `json:"owner"`
	Vouched bool   `json:"vouched"` // the owner vouched for the device, or is the device
	Clone   bool   `json:"clone"`   // another device has the same key
}

// ManifestStatus is what the device goes by.
type ManifestStatus struct {
	Path    string         `json:"path"`
	Loaded  time.Time      `json:"loaded"`
	Reload  *Reload        `json:"reload,omitempty"`  // what the last reload changed
	Refused *RefusedReload `json:"refused,omitempty"` // a later one that was refused
}

// RefusedReload is a manifest that was refused.
type RefusedReload struct {
	Time     time.Time `json:"time"`
	Error    string    `json:"error"`
	Problems []Problem `json:"problems,omitempty"`
}

// DocumentStatus is how the document on the chain stands to the manifest.
type DocumentStatus struct {
	// State is unknown, checking (the manifest is newer than the last look), in step, publishing, waiting (see Error), held (see
	// Reason) or conflict.
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Error    string    `json:"error,omitempty"`
	Changes  []Change  `json:"changes,omitempty"` // in which it differs
	Sequence uint64    `json:"sequence,omitempty"`
	Validity uint32    `json:"validity,omitempty"` // last block; 0: for ever, or there is none
	Block    uint32    `json:"block,omitempty"`    // as of which
	Checked  time.Time `json:"checked,omitzero"`
}

// BalanceStatus is what the account holds.
type BalanceStatus struct {
	Free     string   `json:"free,omitempty"` // decimal, in tokens; empty: not known yet
	Planck   string   `json:"planck,omitempty"`
	Token    string   `json:"token,omitempty"`
	Spent    string   `json:"spent_30_days,omitempty"`
	DaysLeft *float64 `json:"days_left,omitempty"` // at the use of the last 30 days; absent: it uses nothing
	Low      bool     `json:"low"`
}

// ChainStatus is how the chain is reached.
type ChainStatus struct {
	Connected bool             `json:"connected"`
	Genesis   string           `json:"genesis,omitempty"`
	Block     uint32           `json:"block,omitempty"` // that was looked at last
	BlockTime time.Time        `json:"block_time,omitzero"`
	Heard     time.Time        `json:"heard,omitzero"` // last word of any endpoint
	Endpoints []EndpointStatus `json:"endpoints"`
}

// EndpointStatus is one endpoint, in order of preference.
type EndpointStatus struct {
	Endpoint string    `json:"endpoint"` // without credentials
	InUse    bool      `json:"in_use"`
	Since    time.Time `json:"since,omitzero"`
	Heard    time.Time `json:"heard,omitzero"`
	Error    string    `json:"error,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
}

// ClockStatus is the machine's clock beside the chain's.
type ClockStatus struct {
	Machine time.Time `json:"machine"`
	Now     time.Time `json:"now"` // what the device goes by
	Chain   time.Time `json:"chain,omitzero"`
	Offset  float64   `json:"offset_seconds"` // of the machine's clock from Now; 0: it is believed
}

// RelayStatus is one relay.
type RelayStatus struct {
	Relay     string    `json:"relay"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	RTT       float64   `json:"rtt_ms,omitempty"`
	KeepAlive float64   `json:"keep_alive_seconds,omitempty"`
	Error     string    `json:"error,omitempty"`
	Retiring  bool      `json:"retiring,omitempty"`
	Displaced bool      `json:"displaced,omitempty"` // another device with this key took it
}

// SessionView is one session.
type SessionView struct {
	Account string    `json:"account"`
	Stream  string    `json:"stream"`
	Node    string    `json:"node"`
	Relay   string    `json:"relay"`
	Since   time.Time `json:"since"`
	In      uint64    `json:"in"`
	Out     uint64    `json:"out"`
	Streams int       `json:"streams"`
}

// TrafficStatus counts since the start of the device.
type TrafficStatus struct {
	Sessions uint64 `json:"sessions"`
	In       uint64 `json:"in"` // bytes from consumers
	Out      uint64 `json:"out"`
	Refused  uint64 `json:"refused"` // requests that were refused or dropped
}

// LeaseView is an answer of a judge.
type LeaseView struct {
	Account string    `json:"account"`
	Stream  string    `json:"stream"`
	Block   uint32    `json:"block"`
	Until   time.Time `json:"until"`
	Used    bool      `json:"used"`  // by a session; otherwise it is kept for an outage of the chain
	Fleet   bool      `json:"fleet"` // it follows from a grant for the device's fleet, not for the device
}

// RefusalView is a refusal, of the latest ones.
type RefusalView struct {
	Time    time.Time `json:"time"`
	Account string    `json:"account,omitempty"`
	Claimed bool      `json:"claimed,omitempty"` // not proved
	Stream  string    `json:"stream,omitempty"`
	Reason  string    `json:"reason"`
	Times   int       `json:"times"`
}

// StateStatus is where the device keeps what it must not forget.
type StateStatus struct {
	Dir    string `json:"dir"`
	Memory bool   `json:"memory"` // nothing is written
	Error  string `json:"error,omitempty"`
	Audit  string `json:"audit_error,omitempty"`
}

// ProcessStatus is what the process takes.
type ProcessStatus struct {
	PID        int    `json:"pid"`
	Resident   uint64 `json:"resident_bytes,omitempty"` // where the system tells
	Heap       uint64 `json:"heap_bytes"`
	Goroutines int    `json:"goroutines"`
}

// Status looks at every part of the device. It asks nobody outside of the process.
func (d *Device) Status() Status {
	m, l := d.manifest.Load(), d.running()
	s := Status{Version: d.o.Version, Started: d.sinceThen(d.started), Problems: []string{}, Notes: []string{},
		Relays: []RelayStatus{}, Sessions: []SessionView{}, Leases: []LeaseView{}, Refusals: []RefusalView{}}
	s.Identity = IdentityStatus{DID: d.account.DID(), Address: d.account.String(), Node: d.node.ID().String(), Owner: d.ownerOf(m).String(),
		Vouched: d.ownerOf(m) == d.account}
	s.Manifest = d.manifestStatus(m)
	s.Clock = d.clockStatus()
	s.Programs = d.programStatus()
	s.Streams = streamNames(m)
	for _, r := range d.audit.Refusals() {
		s.Refusals = append(s.Refusals, RefusalView{Time: r.Entry.Time, Account: r.Entry.Account, Claimed: r.Entry.Claimed,
			Stream: r.Entry.Stream, Reason: r.Entry.Reason, Times: r.Times})
	}
	s.State = d.stateStatus(m)
	s.Process = processStatus()
	s.Document.State = "unknown"
	s.Chain.Endpoints = []EndpointStatus{}
	if l == nil {
		d.offline(&s, m)
	} else {
		d.onlineStatus(&s, l)
	}
	d.diagnose(&s)
	return s
}

// offline tells of a device that has not reached the chain yet.
func (d *Device) offline(s *Status, m *Manifest) {
	d.mu.Lock()
	failed := d.failed
	d.mu.Unlock()
	for _, e := range d.endpoints(m) {
		one := EndpointStatus{Endpoint: redacted(e)}
		if failed != nil {
			one.Error = reasonFor(failed, one.Endpoint)
		}
		s.Chain.Endpoints = append(s.Chain.Endpoints, one)
	}
}

func (d *Device) onlineStatus(s *Status, l *live) {
	v := l.docs.look()
	s.Identity.Vouched = s.Identity.Vouched || v.vouched
	s.Document = d.documentStatus(v)
	s.Balance = balanceStatus(v, l.docs.properties(), d.state.fees(), d.clock.Now(), d.manifest.Load().Device.ValidFor)
	s.Chain = d.chainStatus(l.client, v)
	node := l.node.Status()
	d.mu.Lock()
	for _, r := range node.Relays {
		s.Relays = append(s.Relays, RelayStatus{Relay: r.Addr.String(), Connected: r.Connected, Since: d.ago(r.Since), RTT: milliseconds(r.RTT),
			KeepAlive: r.KeepAlive.Seconds(), Error: r.Error, Retiring: r.Retiring, Displaced: d.lost[r.Addr] && !r.Connected})
	}
	d.mu.Unlock()
	for _, v := range node.Sessions {
		s.Sessions = append(s.Sessions, SessionView{Account: v.Account.String(), Stream: v.Stream, Node: v.Node.String(), Relay: v.Relay.String(),
			Since: d.ago(v.Since), In: v.In, Out: v.Out, Streams: v.Streams})
	}
	s.Traffic = d.traffic(node)
	judges, _ := l.court.sitting()
	j := judges.Status()
	s.Waiting = j.Waiting
	for _, lease := range j.Leases {
		s.Leases = append(s.Leases, d.leaseView(lease))
	}
	s.Identity.Clone = v.do == yield || slices.ContainsFunc(s.Relays, func(r RelayStatus) bool { return r.Displaced })
}

// ago turns a time of this process's monotonic clock into one that people understand.
func (d *Device) ago(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return d.clock.Now().Add(-time.Since(t)).UTC().Round(time.Second)
}

func milliseconds(t time.Duration) float64 { return float64(t.Microseconds()) / 1000 }

func (d *Device) leaseView(l access.Lease) LeaseView {
	return LeaseView{Fleet: l.Scope != d.account, Account: l.Account.String(), Stream: l.Stream, Block: l.Block, Until: d.clock.Now().Add(l.Left).UTC().Round(time.Second), Used: l.Used}
}

func (d *Device) manifestStatus(m *Manifest) ManifestStatus {
	d.mu.Lock()
	l := d.loaded
	d.mu.Unlock()
	s := ManifestStatus{Path: m.Path, Loaded: d.sinceThen(l.at), Reload: l.reload}
	if l.refused != nil {
		s.Refused = &RefusedReload{Time: d.sinceThen(l.refused.at), Error: l.refused.err.Error(), Problems: l.refused.problems}
	}
	return s
}

func (d *Device) clockStatus() ClockStatus {
	r := d.clock.Read()
	s := ClockStatus{Machine: r.Wall.UTC(), Now: r.Now.UTC(), Offset: r.Offset.Seconds()}
	if !r.Chain.IsZero() {
		s.Chain = r.Chain.UTC()
	}
	return s
}

// programStatus is what the keeper of the programs says, with times that people understand.
func (d *Device) programStatus() []update.Status {
	all := d.programs.Status()
	for i := range all {
		all[i].Since = d.ago(all[i].Since)
	}
	if all == nil {
		all = []update.Status{}
	}
	return all
}

func (d *Device) stateStatus(m *Manifest) StateStatus {
	s := StateStatus{Dir: m.State, Memory: d.state.dir() == ""}
	if err := d.state.trouble(); err != nil {
		s.Error = err.Error()
	}
	if err := d.audit.Err(); err != nil {
		s.Audit = err.Error()
	}
	return s
}

func (d *Device) documentStatus(v view) DocumentStatus {
	s := DocumentStatus{State: "unknown", Reason: v.reason, Sequence: v.sequence, Block: v.number, Checked: d.sinceThen(v.checked)}
	if v.validity != did.Forever {
		s.Validity = v.validity
	}
	if v.err != nil {
		s.Error = v.err.Error()
	}
	switch {
	case v.checked.IsZero():
	case v.stale:
		s.State = "checking"
	case v.do == yield:
		s.State, s.Reason = "conflict", v.why
	case v.do == hold:
		s.State, s.Reason, s.Changes = "held", v.why, v.changes
	case v.do != rest && v.err != nil:
		s.State, s.Changes = "waiting", v.changes
	case v.do != rest:
		s.State, s.Changes = "publishing", v.changes
	default:
		s.State = "in step"
	}
	return s
}

func (d *Device) chainStatus(c *chain.Client, v view) ChainStatus {
	s := ChainStatus{Genesis: c.Genesis().String(), Block: v.number, BlockTime: v.time.UTC(), Endpoints: []EndpointStatus{}}
	heard, _ := c.LastHeard()
	s.Heard = d.ago(heard)
	for _, e := range c.Endpoints() {
		one := EndpointStatus{Endpoint: e.Endpoint, InUse: e.InUse, Since: d.ago(e.Since), Heard: d.ago(e.Heard), Retry: d.ago(e.Retry)}
		if e.Err != nil {
			one.Error = e.Err.Error()
		}
		s.Connected = s.Connected || e.InUse
		s.Endpoints = append(s.Endpoints, one)
	}
	return s
}

func processStatus() ProcessStatus {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return ProcessStatus{PID: os.Getpid(), Resident: resident(), Heap: mem.HeapInuse, Goroutines: runtime.NumGoroutine()}
}
