package provision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"iod/chain"
	"iod/metadata"
)

// state is what a device keeps on disk beside the metadata of the chain and the audit record: what it paid, and a time that is
// past. Where its directory cannot be written, a device does without. It is written when something happens, and never while
// nothing does.
type state struct {
	log    *slog.Logger
	path   string // of the directory; empty: everything is in memory only
	reason error  // why it is
	unlock func()

	ceiling time.Time // no time of the chain beyond this and the time since began is believed enough to be written down
	began   time.Time // by the steady clock; set by start

	mu     sync.Mutex
	ledger ledger
	failed error // of the last write
}

// ledger is the content of the state file: JSON, preceded by its hash so that a torn one shows.
//
//	{"sum":"0x…","ledger":{…}}
type ledger struct {
	Fees []fee     `json:"fees,omitempty"` // the latest last
	Seen time.Time `json:"seen,omitzero"`  // the chain's time, now and then
}

// fee is what a transaction cost.
type fee struct {
	Time   time.Time    `json:"time"`
	Planck chain.Planck `json:"planck"`
}

const (
	ledgerName = "ledger.json"
	maxFees    = 200
	maxLedger  = 1 << 20
	// seenEvery is how much time must have passed on the chain before it is written down anew.
	seenEvery = 24 * time.Hour
	// leap is how far the chain may be ahead of what was written down when the process started. A node that lies about the time
	// makes a device refuse certificates for no longer.
	leap = 400 * 24 * time.Hour
)

// firstMoment is before anybody ran this program: no clock that is right shows less.
var firstMoment = time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)

// openState takes hold of a state directory. One that another process holds is an error; one that cannot be written is none.
func openState(dir string, log *slog.Logger) (*state, error) {
	s := &state{log: log, path: dir, unlock: func() {}}
	unlock, err := lockState(dir)
	switch {
	case errors.Is(err, ErrRunning):
		return nil, err
	case err == nil:
		s.unlock = unlock
		err = writable(dir)
	}
	if err != nil {
		s.path, s.reason = "", err
		log.Warn("the state directory cannot be written; what belongs there is kept in memory and lost with the process", "err", err)
	}
	if s.ledger, err = readLedger(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the state file is ignored", "err", err)
	}
	return s, nil
}

// writable finds out whether a file can be made, and leaves nothing behind.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("write in the state directory: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// dir is the directory to write in; empty: nowhere.
func (s *state) dir() string { return s.path }

func (s *state) close() { s.unlock() }

// floor is a time that is past for sure.
func (s *state) floor() time.Time {
	floor := firstMoment
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, v := range info.Settings {
			if t, err := time.Parse(time.RFC3339, v.Value); v.Key == "vcs.time" && err == nil && t.After(floor) {
				floor = t
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger.Seen.After(floor) {
		return s.ledger.Seen
	}
	return floor
}

// start begins to count the time by a steady clock.
func (s *state) start(now time.Time) { s.began, s.ceiling = now, s.floor().Add(leap) }

// seen notes the chain's time. It is written when it is much later than what stands there. now is by the steady clock.
func (s *state) seen(t, now time.Time) {
	if latest := s.ceiling.Add(now.Sub(s.began)); t.After(latest) {
		t = latest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Sub(s.ledger.Seen) >= seenEvery || s.ledger.Seen.Sub(t) >= seenEvery { // a chain that began anew is behind
		s.ledger.Seen = t
		s.save()
	}
}

// paid notes a fee.
func (s *state) paid(f fee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.Fees = append(s.ledger.Fees, f)
	if over := len(s.ledger.Fees) - maxFees; over > 0 {
		s.ledger.Fees = s.ledger.Fees[over:]
	}
	s.save()
}

func (s *state) fees() []fee {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.Fees)
}

// save writes the ledger whole or not at all. A disk that is full does not stop anything. s.mu is held.
func (s *state) save() {
	if s.path == "" {
		return
	}
	err := renameio.WriteFile(filepath.Join(s.path, ledgerName), s.ledger.encode(), 0o600)
	if err != nil && s.failed == nil {
		s.log.Warn("the state file cannot be written", "err", err)
	}
	s.failed = err
}

// trouble says why state is not on disk; nil: it is.
func (s *state) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != nil {
		return s.reason
	}
	return s.failed
}

// sealed is the file around the ledger.
type sealed struct {
	Sum    string          `json:"sum"`
	Ledger json.RawMessage `json:"ledger"`
}

func (l ledger) encode() []byte {
	body, err := json.Marshal(l)
	if err != nil {
		return nil // cannot happen: times of blocks and amounts
	}
	b, err := json.Marshal(sealed{sumOf(body), body})
	if err != nil {
		return nil
	}
	return append(b, '\n')
}

func sumOf(body []byte) string {
	sum := metadata.Blake2_256(body)
	return fmt.Sprintf("%#x", sum[:])
}

// decodeLedger reads what encode wrote, and nothing that is torn.
func decodeLedger(b []byte) (ledger, error) {
	var s sealed
	if err := json.Unmarshal(b, &s); err != nil {
		return ledger{}, fmt.Errorf("state file: %w", err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, s.Ledger); err != nil || sumOf(body.Bytes()) != s.Sum {
		return ledger{}, errors.New("state file: it is torn, or was changed")
	}
	var l ledger
	if err := json.Unmarshal(s.Ledger, &l); err != nil {
		return ledger{}, fmt.Errorf("state file: %w", err)
	}
	return l, nil
}

func readLedger(dir string) (ledger, error) {
	path := filepath.Join(dir, ledgerName)
	info, err := os.Stat(path)
	if err != nil {
		return ledger{}, err
	}
	if info.Size() > maxLedger {
		return ledger{}, fmt.Errorf("%s has %d bytes", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ledger{}, err
	}
	return decodeLedger(b)
}
