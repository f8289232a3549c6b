package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"iod/pallet/rbac"
)

// minutes collects what a judge tells.
type minutes struct{ events []Event }

// keep is called with the judge's lock held, one event after the other.
func (m *minutes) keep(o *JudgeOptions) { o.OnEvent = func(e Event) { m.events = append(m.events, e) } }

func (m *minutes) kinds() (all []string) {
	for _, e := range m.events {
		all = append(all, string(e.Kind)+" "+e.Stream)
	}
	return all
}

func TestJudgeTellsWhatItDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m minutes
		s := newScene(t, m.keep)
		defer s.stop()
		s.grants(true, "b", alice)
		waiting := s.knocks(t.Context(), alice, "a")
		time.Sleep(time.Hour)
		if got := m.kinds(); !slices.Equal(got, []string{"refused a"}) || m.events[0].Account != alice || m.events[0].Reason == "" || m.events[0].Block == 0 {
			t.Fatalf("an hour of waiting: %+v", m.events)
		}
		s.grants(true, "a", alice)
		pass := s.admitted(waiting)
		s.does(true, rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: EntityID(owner, device, "a", rbac.Group)}))
		s.ends(pass, ErrRevoked)
		if got := m.kinds(); !slices.Equal(got, []string{"refused a", "granted a", "withdrawn a"}) {
			t.Fatalf("%+v", m.events)
		}
		if e := m.events[1]; e.Block != pass.Block || e.Reason == "" {
			t.Errorf("the grant: %+v", e)
		}
		if e := m.events[2]; !strings.Contains(e.Reason, "revoked") {
			t.Errorf("the end: %+v", e)
		}
		// With no chain a stranger's request is refused as well.
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		s.knocks(t.Context(), bob, "a")
		if e := m.events[len(m.events)-1]; e.Kind != Refused || e.Account != bob || !strings.Contains(e.Reason, "no chain endpoint") {
			t.Errorf("without a chain: %+v", e)
		}
	})
}

func TestUnanimous(t *testing.T) {
	var told []string
	f := unanimous(3, func(e Event) { told = append(told, e.Reason) })
	for i := range 3 {
		f(Event{Reason: fmt.Sprint(i)})
	}
	if !slices.Equal(told, []string{"2"}) {
		t.Errorf("%q", told)
	}
}

func TestStatusTellsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(o *JudgeOptions) { o.Lease = 30 * time.Minute })
		defer s.stop()
		s.grants(true, "a", alice)
		s.grants(true, "b", alice)
		s.admitted(s.knocks(t.Context(), alice, "a"))
		s.admitted(s.knocks(t.Context(), alice, "b")).Release()
		s.knocks(t.Context(), bob, "b")
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		time.Sleep(10 * time.Minute)
		got := Judges{s.j}.Status()
		if got.Lease != 30*time.Minute || got.Waiting != 1 || len(got.Leases) != 2 {
			t.Fatalf("%+v", got)
		}
		used := slices.IndexFunc(got.Leases, func(l Lease) bool { return l.Used })
		for i, l := range got.Leases {
			if l.Scope != s.j.o.Device || l.Account != alice || l.Block == 0 || l.Left != 20*time.Minute || (i == used) != (l.Stream == "a") {
				t.Errorf("lease %+v", l)
			}
		}
	})
}

// A lease that is made shorter holds for what is out already, and a longer one too.
func TestSetLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(o *JudgeOptions) { o.Lease = time.Hour })
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		time.Sleep(time.Minute)
		s.j.SetLease(time.Minute)
		time.Sleep(10 * time.Minute) // probes are as frequent as the new lease wants
		s.holds(pass)
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		time.Sleep(61 * time.Second)
		s.ends(pass, ErrLease)
		s.c.set(func() { s.c.dead, s.c.down = false, nil })
		time.Sleep(longPause)
		pass = s.admitted(s.knocks(t.Context(), alice, "a"))
		s.j.SetLease(time.Hour)
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		time.Sleep(59 * time.Minute)
		s.holds(pass)
		time.Sleep(2 * time.Minute)
		s.ends(pass, ErrLease)
	})
}

// A machine that slept wakes with timers that know nothing of it. The lease ends at once by the steady clock.
func TestLeaseCountsSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		s := newScene(t, func(o *JudgeOptions) {
			o.Lease = time.Hour
			o.Now = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		})
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		time.Sleep(time.Minute)
		s.holds(pass)
		slept.Store(int64(2 * time.Hour))
		time.Sleep(longNap)
		s.ends(pass, ErrLease)
	})
}
