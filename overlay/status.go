package overlay

import (
	"time"

	"iod/key"
)

// DeviceStatus is a device's view of itself at one moment.
type DeviceStatus struct {
	Node     key.NodeID      `json:"node"`
	Relays   []RelayStatus   `json:"relays"`
	Sessions []SessionStatus `json:"sessions"`
	Pending  int             `json:"pending"` // knocks that wait for the gate
	Refused  uint64          `json:"refused"` // knocks that were dropped since the start: forged, replayed, too many, refused
}

// RelayStatus tells how one of a device's relays is reached.
type RelayStatus struct {
	Addr      RelayAddr     `json:"addr"`
	Connected bool          `json:"connected"`
	Since     time.Time     `json:"since"`                // of the connection or of the loss
	Error     string        `json:"error,omitempty"`      // why the last connection ended or could not be made
	KeepAlive time.Duration `json:"keep_alive,omitempty"` // current interval between pings when idle
	RTT       time.Duration `json:"rtt,omitempty"`        // of the last question that the relay answered
	Retiring  bool          `json:"retiring,omitempty"`   // it is listed no longer and goes with its last session
}

// SessionStatus is one admitted session.
type SessionStatus struct {
	Account key.AccountID `json:"account"`
	Node    key.NodeID    `json:"node"`
	Stream  string        `json:"stream"`
	Relay   key.NodeID    `json:"relay"`
	Since   time.Time     `json:"since"`
	In      uint64        `json:"in"`  // bytes from the consumer
	Out     uint64        `json:"out"` // bytes to the consumer
	Streams int           `json:"streams"`
}

// SessionEvent is the begin or the end of a session.
type SessionEvent struct {
	SessionStatus
	Ended  bool
	Err    error         // why it ended; nil: in order
	Lasted time.Duration // when it has ended
}

// Dropped is a knock that was dropped before the gate was asked. What it says of itself counts only when Proved is set.
type Dropped struct {
	Relay   RelayAddr
	Account key.AccountID
	Node    key.NodeID
	Stream  string // empty: the knock could not be opened, or nobody looked
	Proved  bool   // the account's signature was right
	Err     error
}

// RelayReport is a relay's view of itself at one moment.
type RelayReport struct {
	Node    key.NodeID `json:"node"`
	Devices int        `json:"devices"` // registered
	Conns   int        `json:"conns"`
	Tokens  int        `json:"tokens"` // not yet used
	Splices int        `json:"splices"`
	Bytes   uint64     `json:"bytes"` // spliced since the start, both ways
	Dropped uint64     `json:"dropped"`
}
