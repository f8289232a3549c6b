package supervise

import "time"

// State is where a program is in its life.
type State string

// The states of a program.
const (
	Waiting  State = "waiting"  // not started yet, for another program, or between an exit and the next start
	Starting State = "starting" // alive, and not ready yet
	Running  State = "running"  // alive and ready
	Stopping State = "stopping" // told to end
	Stopped  State = "stopped"  // ended for good
)

// ProgramStatus is a program at a moment.
type ProgramStatus struct {
	Name     string         `json:"name"`
	Version  string         `json:"version,omitempty"`
	State    State          `json:"state"`
	Why      string         `json:"why,omitempty"` // when waiting: for what; when stopping: what it is stopped for
	PID      int            `json:"pid,omitempty"` // 0 unless starting, running or stopping
	Since    time.Time      `json:"since"`         // when State began
	NextTry  time.Time      `json:"next_try,omitzero"`
	Restarts int            `json:"restarts"` // starts after the first
	Looping  bool           `json:"looping"`  // it keeps ending soon after its starts; false again after a healthy run
	LastExit Exit           `json:"-"`        // zero before the first exit
	Exits    []Past         `json:"exits,omitempty"`
	Alive    *Pulse         `json:"alive,omitempty"` // what the checks that it is alive said; nil: none was made
	Limits   []Limited      `json:"limits,omitempty"`
	Log      *LogStatus     `json:"log,omitempty"` // nil: output is not kept on disk
	Trial    *ProgramStatus `json:"trial,omitempty"`
}

// Past is a run that ended.
type Past struct {
	Exit
	PID     int       `json:"pid,omitempty"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"` // zero when it could not be started
	Ended   time.Time `json:"ended"`
}

// keptExits is how many exits a status remembers.
const keptExits = 16

// Limited is one of a program's limits and what became of it.
type Limited struct {
	Name string `json:"name"`         // memory, cpu, files, processes
	Max  string `json:"max"`          // with its unit
	By   string `json:"by,omitempty"` // what enforces it; empty: nothing does
	Note string `json:"note,omitempty"`
}

// LogStatus is where a program's output goes.
type LogStatus struct {
	Dir     string `json:"dir"`
	File    string `json:"file,omitempty"` // that is written; empty before the first line
	Bytes   int64  `json:"bytes"`          // of that file
	Dropped uint64 `json:"dropped"`        // lines that came too fast, or found no room on the disk
	Err     string `json:"error,omitempty"`
}

// EventKind says what happened to a program.
type EventKind string

// The kinds of event.
const (
	Started    EventKind = "started"
	BecameOK   EventKind = "ready"
	Exited     EventKind = "exited"     // or could not be started
	Restarting EventKind = "restarting" // after Event.Wait
)

// Event is a step in a program's life.
type Event struct {
	Kind    EventKind
	Program string
	Version string
	Time    time.Time
	PID     int           // of Started and Exited; 0 when it could not be started
	Exit    Exit          // of Exited and Restarting
	Wait    time.Duration // of Restarting: until the next start
	Looping bool          // of Restarting
}

// Line is one line that a program wrote, without its line end.
type Line struct {
	Program string    `json:"program"`
	Stream  string    `json:"stream"` // stdout or stderr; iod for what the supervisor notes between them
	Text    string    `json:"text"`   // at most 4 KiB; what was longer is cut and ends in …
	Time    time.Time `json:"time"`
	Exit    *Past     `json:"exit,omitempty"` // of a line of iod's that notes an exit
}
