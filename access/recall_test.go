package access

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// outage breaks the chain, or mends it.
func (s *scene) outage(on bool) {
	s.c.set(func() {
		s.c.down = nil
		if on {
			s.c.down = errors.New("unreachable")
		}
	})
}

// remembered checks what the judge keeps in mind.
func (s *scene) remembered(want int) {
	s.t.Helper()
	synctest.Wait()
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	n := 0
	for _, all := range s.j.memory.of {
		n += len(all)
	}
	if n != want || s.j.memory.n != want {
		s.t.Errorf("%d answers remembered (counted as %d), want %d", n, s.j.memory.n, want)
	}
}

func leaving(a key.AccountID, stream string) metadata.Call {
	return rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(a), Held: EntityID(owner, device, stream, rbac.Group)})
}

// Whoever was admitted before an outage is admitted again in it, to the same stream only, until the lease of the answer ends.
func TestRecallWithinTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.grants(true, "b", alice)
		s.grants(true, "a", bob)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		known := time.Now()
		s.remembered(1)
		time.Sleep(5 * time.Minute)
		before := s.c.count("best", "raw", "finalised", "wait", "watch")
		if s.c.watches != 0 {
			t.Errorf("%d watches while nobody is there", s.c.watches)
		}
		s.outage(true)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		if n := s.c.count("best", "raw", "finalised", "wait", "watch") - before; n != 1 {
			t.Errorf("%d requests before the answer was recalled, want the one that fails", n)
		}
		if pass.Account != alice || pass.Stream != "a" || pass.Block != 3 {
			t.Errorf("%+v", pass)
		}
		other, stranger := s.knocks(t.Context(), alice, "b"), s.knocks(t.Context(), bob, "a")
		time.Sleep(4 * time.Minute)
		s.waits(other)
		s.waits(stranger)
		// Coming again and again does not prolong it.
		again := s.admitted(s.knocks(t.Context(), alice, "a"))
		pass.Release()
		pass = s.admitted(s.knocks(t.Context(), alice, "a"))
		again.Release()
		s.holds(pass)
		<-pass.Done()
		s.ends(pass, ErrLease)
		if d := time.Since(known); d != DefaultLease {
			t.Errorf("ended %v after the chain was heard of last", d)
		}
		s.remembered(0)
		late := s.knocks(t.Context(), alice, "a")
		time.Sleep(time.Minute)
		s.waits(late)
		s.outage(false)
		time.Sleep(longPause + time.Second)
		s.admitted(late)
		s.admitted(other)
		s.admitted(stranger)
	})
}

// With the chain back, a recalled pass goes on under a watch as if it had been granted then.
func TestRecallGoesOnWhenTheChainIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		s.outage(true)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		time.Sleep(9 * time.Minute)
		s.outage(false)
		time.Sleep(time.Hour)
		s.holds(pass)
		before := s.c.count("finalised")
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		if s.c.count("finalised") == before {
			t.Error("admitted without asking the chain, which answers again")
		}
		s.does(false, leaving(alice, "a"))
		s.ends(pass, ErrRevoked)
	})
}

// Another pass that is held through the outage, whether the node is seen to be gone or not, vouches for a new request too.
func TestRecallWhileAnotherPassIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		held := s.admitted(s.knocks(t.Context(), alice, "a"))
		time.Sleep(time.Hour)
		s.c.set(func() { s.c.dead, s.c.down = true, errors.New("unreachable") })
		gone := time.Now()
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		held.Release()
		s.holds(pass)
		<-pass.Done()
		s.ends(pass, ErrLease)
		if d := time.Since(gone); d > DefaultLease || d < DefaultLease/2 {
			t.Errorf("ended after %v", d)
		}
	})
}

// A yes outlives what the judge reads for another stream of the account.
func TestRecallAfterOtherReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.grants(true, "b", alice)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		s.remembered(1)
		s.admitted(s.knocks(t.Context(), alice, "b"))
		s.outage(true)
		s.admitted(s.knocks(t.Context(), alice, "a"))
	})
}

// What was revoked in the outage ends as soon as the chain is back, and is not recalled in the next one.
func TestRevokedInTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		s.outage(true)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		s.does(false, leaving(alice, "a")) // not even final
		time.Sleep(time.Minute)
		s.holds(pass)
		s.outage(false)
		back := time.Now()
		<-pass.Done()
		s.ends(pass, ErrRevoked)
		if d := time.Since(back); d > longPause {
			t.Errorf("ended %v after the chain was back", d)
		}
		s.remembered(0)
		s.outage(true)
		c := s.knocks(t.Context(), alice, "a")
		time.Sleep(time.Minute)
		s.waits(c)
	})
}

// A revocation that the judge has seen, in whatever way, is never forgotten into a yes.
func TestRevokedBeforeTheOutage(t *testing.T) {
	revoke := func(s *scene) { s.does(false, leaving(alice, "a")) }
	for name, story := range map[string]func(s *scene){
		"pass held": func(s *scene) {
			pass := s.admitted(s.knocks(s.t.Context(), alice, "a"))
			revoke(s)
			s.ends(pass, ErrRevoked)
			pass.Release()
		},
		"one pass released, one held": func(s *scene) {
			pass := s.admitted(s.knocks(s.t.Context(), alice, "a"))
			s.admitted(s.knocks(s.t.Context(), alice, "a")).Release()
			s.remembered(1)
			revoke(s)
			s.ends(pass, ErrRevoked)
		},
		"seen by a pass to another stream": func(s *scene) {
			other := s.admitted(s.knocks(s.t.Context(), alice, "b"))
			s.admitted(s.knocks(s.t.Context(), alice, "a")).Release()
			s.remembered(1)
			revoke(s)
			s.holds(other)
		},
		"seen by a knock for another stream": func(s *scene) {
			s.admitted(s.knocks(s.t.Context(), alice, "a")).Release()
			s.remembered(1)
			revoke(s)
			s.admitted(s.knocks(s.t.Context(), alice, "b"))
		},
		"seen by a knock": func(s *scene) {
			s.admitted(s.knocks(s.t.Context(), alice, "a")).Release()
			s.remembered(1)
			revoke(s)
			s.waits(s.knocks(s.t.Context(), alice, "a"))
		},
		"seen while reads fail": func(s *scene) {
			s.admitted(s.knocks(s.t.Context(), alice, "a"))
			s.admitted(s.knocks(s.t.Context(), alice, "a")).Release()
			s.c.set(func() { s.c.flaky = true })
			revoke(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				defer s.stop()
				s.grants(true, "a", alice)
				s.grants(true, "b", alice)
				story(s)
				s.t = t
				synctest.Wait()
				s.outage(true)
				c := s.knocks(t.Context(), alice, "a")
				time.Sleep(time.Minute)
				s.waits(c)
			})
		})
	}
}

// While the chain answers, it alone decides: a remembered yes does not stand in for the finalised block.
func TestNothingIsRecalledWhileTheChainAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		s.does(true, leaving(alice, "a"))
		s.grants(false, "a", alice)
		s.remembered(1)
		c := s.knocks(t.Context(), alice, "a")
		time.Sleep(time.Minute)
		s.waits(c)
		s.c.finalise()
		s.admitted(c)
	})
}

// The memory is bounded in number, the oldest goes first, and each answer is dropped at the end of its lease by itself.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(o *JudgeOptions) { o.MaxAccounts = 2 })
		defer s.stop()
		accounts := []key.AccountID{alice, bob, {0xca}}
		for _, a := range accounts {
			s.grants(true, "a", a)
		}
		for i, a := range accounts {
			s.admitted(s.knocks(t.Context(), a, "a")).Release()
			s.remembered(min(i+1, 2))
			time.Sleep(time.Minute)
		}
		s.outage(true)
		first := s.knocks(t.Context(), alice, "a")
		s.admitted(s.knocks(t.Context(), bob, "a")).Release()
		s.waits(first)
		s.outage(false)
		time.Sleep(longPause + time.Second)
		s.admitted(first).Release()
		s.remembered(2)
		s.j.mu.Lock()
		_, ofBob := s.j.memory.of[bob]
		ofAlice, ok := s.j.memory.of[alice][EntityID(owner, device, "a", rbac.Permission)]
		s.j.mu.Unlock()
		if ofBob || !ok {
			t.Error("not the oldest one was forgotten")
		}
		end := ofAlice.known.Add(DefaultLease)
		time.Sleep(time.Until(end) - time.Second)
		s.remembered(1)
		before := s.c.count("best", "raw", "finalised", "wait", "watch")
		time.Sleep(time.Second)
		s.remembered(0)
		time.Sleep(time.Hour)
		if n := s.c.count("best", "raw", "finalised", "wait", "watch"); n != before {
			t.Errorf("%d requests while nobody is there", n-before)
		}
	})
}
