// Package demo tells the whole story of iod on one machine with real processes: a development chain, a relay, an index, a
// device with its owner's program, and a consumer. Every step is run by the same commands that a person would type, and is
// timed from what the processes print.
//
//	fund → publish → find → be refused → be granted → receive → program killed and back → be revoked and cut
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how to tell the story.
type Options struct {
	Self  string    // the iod binary
	Dir   string    // where keys, state and logs go; made when absent
	Once  bool      // end after the story
	Color bool      // Out is a terminal that shows colours
	Out   io.Writer // the narration
}

// blockTime and finalityLag make the development chain behave like a network: a change is in a best block first and
// final a block later.
const (
	blockTime   = time.Second
	finalityLag = 1
	stepTimeout = 60 * time.Second
)

// StepError says which step of the story did not come out, and where the logs are.
type StepError struct {
	Step string
	Logs string
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("demo: step %q: %v", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// story is one run of the demo.
type story struct {
	o       Options
	began   time.Time
	running []*process // in the order of their start
	wait    sync.WaitGroup
	fail    context.CancelCauseFunc // ends the story
	ending  atomic.Bool             // processes end because they are told to

	rpc, index, relay       string
	device, owner, consumer identity
	provisioner, reader     *process
	clock                   *blockClock
	published               time.Time // when the device said so
	granted                 grant
}

// grant is when the grant was first in a best block, and when it was final, as seen from here.
type grant struct{ best, final time.Time }

// identity is an account of the story.
type identity struct{ file, address, did string }

func (s *story) logs() string { return filepath.Join(s.o.Dir, "logs") }

// Run tells the story. Unless o.Once it then stays until ctx ends. No process that it started is left. The error is a
// *StepError when a step did not come out, and ErrInterrupted when ctx ended before the end of the story.
func Run(ctx context.Context, o Options) error {
	s := &story{o: o, began: time.Now()}
	if err := os.MkdirAll(s.logs(), 0o700); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer s.stop()
	own, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s.fail = fail
	for _, step := range s.steps() {
		stepCtx, cancel := context.WithTimeoutCause(own, stepTimeout, fmt.Errorf("nothing came of it within %s", stepTimeout))
		err := step.do(stepCtx)
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("demo: step %q: %w", step.name, ErrInterrupted)
		}
		if own.Err() != nil { // a process ended; what the step makes of it says less
			err = context.Cause(own)
		}
		if err != nil {
			return &StepError{Step: step.name, Logs: s.logs(), Err: err}
		}
	}
	s.say("", "all done in %s; logs are in %s", time.Since(s.began).Round(100*time.Millisecond), s.logs())
	if o.Once {
		return nil
	}
	return s.stay(ctx, own)
}

// ErrInterrupted says that the story was not told to its end.
var ErrInterrupted = errors.New("interrupted")

type step struct {
	name string
	do   func(context.Context) error
}

func (s *story) steps() []step {
	return []step{
		{"chain", s.startChain},
		{"relay", s.startRelay},
		{"index", s.startIndex},
		{"keys", s.makeKeys},
		{"publish", s.publish},
		{"find", s.find},
		{"refused", s.refused},
		{"granted", s.grant},
		{"received", s.receive},
		{"recovered", s.killProgram},
		{"revoked", s.revoke},
	}
}

// say narrates one line: the time since the beginning, a subject, what happened.
func (s *story) say(subject, format string, args ...any) {
	at := fmt.Sprintf("%5.1fs", time.Since(s.began).Seconds())
	if s.o.Color {
		copyLine(s.o.Out, "\x1b[2m%s\x1b[0m  \x1b[1m%-9s\x1b[0m %s", at, subject, fmt.Sprintf(format, args...))
		return
	}
	copyLine(s.o.Out, "%s  %-9s %s", at, subject, fmt.Sprintf(format, args...))
}

// stop ends every process, the last started first.
func (s *story) stop() {
	s.ending.Store(true)
	if s.clock != nil {
		s.clock.close()
		s.clock = nil
	}
	for i := len(s.running) - 1; i >= 0; i-- {
		s.running[i].stop(8 * time.Second)
	}
	s.wait.Wait()
}

// stay says what to try and waits for the end of ctx, or of a process that should not have ended, which ends own.
func (s *story) stay(ctx, own context.Context) error {
	copyLine(s.o.Out, `
everything is still running. try in another terminal:

  export IOD_RPC=%s IOD_INDEX=%s
  cd %s
  %[4]s devices list
  %[4]s devices show %[5]s
  %[4]s did show %[5]s
  %[4]s access grant --device %[5]s --stream measurements %[6]s --key owner.key
  %[4]s subscribe %[5]s measurements --key consumer.key
  %[4]s access revoke --device %[5]s --stream measurements %[6]s --key owner.key
  %[4]s chain events --from 0

  pages for people:         %[2]s/d/%[5]s
  the same search as JSON:  curl -s %[2]s/api/v1/devices
  the chain in a browser:   the polkadot.js apps, custom endpoint %[1]s

ctrl-c ends it all`, s.rpc, s.index, s.o.Dir, s.o.Self, s.device.did, s.consumer.address)
	<-own.Done()
	if ctx.Err() == nil {
		return &StepError{Step: "stay", Logs: s.logs(), Err: context.Cause(own)}
	}
	copyLine(s.o.Out, "\nending every process …")
	s.stop()
	copyLine(s.o.Out, "nothing is left running; keys and logs are in %s", s.o.Dir)
	return nil
}
