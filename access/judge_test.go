package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a judge over a fake chain and a model of the owner's pallet, in a bubble of synctest.
type scene struct {
	t      *testing.T
	c      *fakeChain
	p      *pallet
	j      *Judge
	cancel context.CancelFunc
	ended  chan error
}

func newScene(t *testing.T, change func(*JudgeOptions)) *scene {
	t.Helper()
	c := newFakeChain(t)
	o := JudgeOptions{Chain: c, Owner: owner, Device: device, Streams: func(s string) bool { return s == "a" || s == "b" }}
	if change != nil {
		change(&o)
	}
	s := &scene{t: t, c: c, p: newPallet(c.m, owner), j: NewJudge(o), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.ended <- s.j.Run(ctx) }()
	return s
}

func (s *scene) stop() {
	s.t.Helper()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Errorf("run: %v", err)
	}
	synctest.Wait()
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	if s.j.pending != 0 || s.j.passes != 0 || s.c.watches != 0 || len(s.j.flights) != 0 {
		s.t.Errorf("left over: %d pending, %d passes, %d watches", s.j.pending, s.j.passes, s.c.watches)
	}
}

// does makes a block in which the owner's calls were executed.
func (s *scene) does(final bool, calls ...metadata.Call) {
	s.t.Helper()
	if err := s.p.run(calls...); err != nil {
		s.t.Fatal(err)
	}
	s.c.push(s.p.storage(s.t), final)
}

func (s *scene) grants(final bool, stream string, a key.AccountID) {
	s.t.Helper()
	grant(s.t, s.p, []string{"a", "b"}, stream, a)
	s.c.push(s.p.storage(s.t), final)
}

// answer is what became of a request.
type answer struct {
	pass *Pass
	err  error
}

func (s *scene) knocks(ctx context.Context, a key.AccountID, stream string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		pass, err := s.j.Admit(ctx, a, stream)
		c <- answer{pass, err}
	}()
	synctest.Wait()
	return c
}

func (s *scene) admitted(c <-chan answer) *Pass {
	s.t.Helper()
	synctest.Wait()
	select {
	case a := <-c:
		if a.err != nil {
			s.t.Fatalf("refused: %v", a.err)
		}
		return a.pass
	default:
		s.t.Fatal("still waiting")
		return nil
	}
}

func (s *scene) waits(c <-chan answer) {
	s.t.Helper()
	synctest.Wait()
	select {
	case a := <-c:
		s.t.Fatalf("answered %v, %v", a.pass, a.err)
	default:
	}
}

func (s *scene) ends(p *Pass, want error) {
	s.t.Helper()
	synctest.Wait()
	select {
	case <-p.Done():
		if !errors.Is(p.Err(), want) {
			s.t.Fatalf("ended with %v, want %v", p.Err(), want)
		}
	default:
		s.t.Fatal("the pass is still out")
	}
}

func (s *scene) holds(p *Pass) {
	s.t.Helper()
	synctest.Wait()
	if p.Err() != nil {
		s.t.Fatalf("the pass has ended: %v", p.Err())
	}
}

func TestJudgeAdmitsTheGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		if pass.Account != alice || pass.Stream != "a" || pass.Block != 1 || pass.Err() != nil {
			t.Errorf("%+v", pass)
		}
		// best, its entries, finalised, its entries; one watch.
		if n := s.c.count("best", "raw", "finalised", "wait"); n > 4 {
			t.Errorf("%d requests", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		other, wrong := s.knocks(ctx, alice, "b"), s.knocks(ctx, bob, "a")
		s.waits(other)
		s.waits(wrong)
		if a := <-s.knocks(ctx, alice, "c"); !errors.Is(a.err, ErrNoStream) {
			t.Errorf("unknown stream: %v", a.err)
		}
		if a := <-s.knocks(ctx, alice, "../a"); !errors.Is(a.err, ErrNoStream) {
			t.Errorf("impossible stream: %v", a.err)
		}
		for _, c := range []<-chan answer{other, wrong} {
			if a := <-c; !errors.Is(a.err, context.DeadlineExceeded) {
				t.Errorf("answered %v, %v", a.pass, a.err)
			}
		}
		s.holds(pass)
		pass.Release()
		pass.Release()
		synctest.Wait()
		if s.c.watches != 0 || len(s.j.parties) != 0 {
			t.Errorf("%d watches, %d parties with nobody there", s.c.watches, len(s.j.parties))
		}
		before := s.c.count("best", "raw", "finalised", "wait", "probe", "watch")
		time.Sleep(24 * time.Hour) // of the bubble's clock
		if n := s.c.count("best", "raw", "finalised", "wait", "probe", "watch"); n != before {
			t.Errorf("%d requests while nobody is there", n-before)
		}
	})
}

func TestJudgeTakesGrantsFromFinalisedBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		first, second := s.knocks(t.Context(), alice, "a"), s.knocks(t.Context(), alice, "a")
		s.waits(first)
		s.grants(false, "a", alice)
		s.waits(first)
		s.c.push(s.p.storage(t), false) // another block, nothing final yet
		s.waits(first)
		s.c.finalise()
		s.admitted(first)
		s.admitted(second)
		s.admitted(s.knocks(t.Context(), alice, "a"))
	})
}

// The judge asks for a grant in the block that finality has reached: a grant that a reorganisation moves one block up is found there.
func TestJudgeFollowsAGrantThroughReorganisation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		empty := s.p.storage(t)
		c := s.knocks(t.Context(), alice, "a")
		s.grants(false, "a", alice)
		s.waits(c)
		granted := s.p.storage(t)
		s.c.reorganise(1, empty, granted) // watches see no difference
		s.waits(c)
		s.c.set(func() { s.c.finalised = 1 }) // of the new chain: no grant in it
		s.waits(c)
		s.c.finalise()
		s.admitted(c)
	})
}

func TestJudgeForgetsAGrantThatIsReorganisedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		empty := s.p.storage(t)
		c := s.knocks(t.Context(), alice, "a")
		s.grants(false, "a", alice)
		s.waits(c)
		s.c.reorganise(1, empty, empty)
		s.c.finalise()
		s.waits(c)
	})
}

// Each way of losing access ends the pass at the best block that holds it, final or not, and a new request waits.
func TestEveryFormOfRevocation(t *testing.T) {
	e := idsOf(owner, device, "a")
	user := rbac.UserID(alice)
	all := EntityID(owner, device, "", rbac.Group)
	by := func(r rbac.Relation, holder, held rbac.ID) metadata.Call {
		return rbac.Unassign(rbac.Assignment{Relation: r, Holder: holder, Held: held})
	}
	direct := rbac.Assign(rbac.Assignment{Relation: rbac.UserRole, Holder: user, Held: e.role})
	forms := map[string]struct {
		stream string // granted; "-": the role itself
		call   metadata.Call
	}{
		"UserUnAssignedToGroup":                     {"a", by(rbac.UserGroup, user, e.group)},
		"UserUnAssignedToGroup of the whole device": {"", by(rbac.UserGroup, user, all)},
		"RoleUnassignedToUser":                      {"-", by(rbac.UserRole, user, e.role)},
		"RoleUnassignedToGroup":                     {"a", by(rbac.GroupRole, e.group, e.role)},
		"PermissionUnassignedToRole":                {"a", by(rbac.RolePermission, e.role, e.permission)},
		"PermissionDisabled":                        {"a", rbac.Disable(rbac.Permission, e.permission)},
		"GroupDisabled":                             {"a", rbac.Disable(rbac.Group, e.group)},
		"GroupDisabled of the whole device":         {"", rbac.Disable(rbac.Group, all)},
		"RoleRemoved":                               {"a", rbac.Disable(rbac.Role, e.role)},
		"RoleRemoved, held directly":                {"-", rbac.Disable(rbac.Role, e.role)},
		"PermissionDisabled, held directly":         {"-", rbac.Disable(rbac.Permission, e.permission)},
	}
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				defer s.stop()
				if f.stream == "-" {
					if err := s.p.run(Setup(owner, device, []string{"a", "b"}, mustRead(t, s.p, []string{"a", "b"}))...); err != nil {
						t.Fatal(err)
					}
					s.does(true, direct)
				} else {
					s.grants(true, f.stream, alice)
				}
				s.grants(true, "a", bob)
				pass := s.admitted(s.knocks(t.Context(), alice, "a"))
				requests := s.c.count("best", "raw", "finalised", "wait")
				before := time.Now()
				s.does(false, f.call)
				s.ends(pass, ErrRevoked)
				if d := time.Since(before); d != 0 {
					t.Errorf("after %v", d)
				}
				if n := s.c.count("best", "raw", "finalised", "wait") - requests; n != 0 {
					t.Errorf("%d requests before the end", n)
				}
				s.waits(s.knocks(t.Context(), alice, "a"))
			})
		})
	}
}

func TestRevocationOfOneLeavesTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.grants(true, "b", alice)
		s.grants(true, "a", bob)
		a, b, other := s.admitted(s.knocks(t.Context(), alice, "a")), s.admitted(s.knocks(t.Context(), alice, "b")), s.admitted(s.knocks(t.Context(), bob, "a"))
		group := EntityID(owner, device, "a", rbac.Group)
		s.does(false, rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: group}))
		s.ends(a, ErrRevoked)
		s.holds(b)
		s.holds(other)
		s.does(false, rbac.Disable(rbac.Group, group))
		s.ends(other, ErrRevoked)
		s.holds(b)
		if !strings.Contains(other.Err().Error(), "is disabled") {
			t.Errorf("reason %v", other.Err())
		}
	})
}

// One who is moved from one way of access to another in one block keeps the pass: the new way is read before the old one's end counts.
func TestMovedToAnotherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		user := rbac.UserID(alice)
		move := []metadata.Call{
			rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: EntityID(owner, device, "a", rbac.Group)}),
			rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: EntityID(owner, device, "", rbac.Group)}),
		}
		s.does(false, move...)
		s.holds(pass)
		// The new way is watched now.
		s.does(false, rbac.Disable(rbac.Group, EntityID(owner, device, "", rbac.Group)))
		s.ends(pass, ErrRevoked)
	})
}

// When the new way cannot be read, the old one's end counts.
func TestMovedWhileReadsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		if err := s.p.run(rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: EntityID(owner, device, "a", rbac.Group)}),
			rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: EntityID(owner, device, "", rbac.Group)})); err != nil {
			t.Fatal(err)
		}
		s.c.set(func() { s.c.append(s.p.storage(t)); s.c.flaky = true })
		s.ends(pass, ErrRevoked)
		s.c.set(func() { s.c.flaky = false })
		s.c.finalise()
		c := s.knocks(t.Context(), alice, "a")
		time.Sleep(time.Minute)
		s.admitted(c)
	})
}

// Revoked in a best block that is reorganised away: the pass is gone, but a new request is admitted.
func TestRevocationReorganisedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		granted := s.p.storage(t)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		s.does(false, rbac.Disable(rbac.Role, EntityID(owner, device, "a", rbac.Role)))
		s.ends(pass, ErrRevoked)
		c := s.knocks(t.Context(), alice, "a")
		s.waits(c)
		s.c.reorganise(1, granted)
		s.admitted(c)
	})
}

// A newcomer whom the finalised block still grants but the best one no more waits.
func TestRevokedAtBestIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.does(false, rbac.Disable(rbac.Permission, EntityID(owner, device, "a", rbac.Permission)))
		s.waits(s.knocks(t.Context(), alice, "a"))
	})
}

func TestLeaseEndsWhenTheChainIsGone(t *testing.T) {
	for _, dead := range []bool{false, true} { // connections that break, and such that nobody notices to be gone
		t.Run(fmt.Sprint("dead=", dead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, func(o *JudgeOptions) { o.Lease = 10 * time.Minute })
				defer s.stop()
				s.grants(true, "a", alice)
				pass := s.admitted(s.knocks(t.Context(), alice, "a"))
				time.Sleep(time.Hour) // probes are answered
				s.holds(pass)
				// Asked three times a lease whether it answers; two more requests read all again once a lease.
				if n := s.c.count("best"); n < 18 || n > 27 {
					t.Errorf("%d requests of the best block in an hour", n)
				}
				if n := s.c.count("raw", "finalised", "watch"); n > 6+6 {
					t.Errorf("%d other requests in an hour", n)
				}
				s.c.set(func() { s.c.dead = true; s.c.down = errors.New("unreachable") })
				gone := time.Now()
				time.Sleep(6 * time.Minute)
				s.holds(pass)
				<-pass.Done()
				if d := time.Since(gone); d > 10*time.Minute || d < 6*time.Minute {
					t.Errorf("ended after %v", d)
				}
				s.ends(pass, ErrLease)
				c := s.knocks(t.Context(), alice, "a")
				time.Sleep(time.Minute)
				s.waits(c)
				s.c.set(func() { s.c.dead = false; s.c.down = nil })
				time.Sleep(time.Minute)
				s.admitted(c)
			})
		})
	}
}

// An outage shorter than the lease leaves the sessions alone; what was revoked meanwhile ends when the chain is back.
func TestOutageShorterThanTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		s.grants(true, "b", bob)
		a, b := s.admitted(s.knocks(t.Context(), alice, "a")), s.admitted(s.knocks(t.Context(), bob, "b"))
		s.c.set(func() { s.c.down = errors.New("unreachable") })
		s.does(true, rbac.Disable(rbac.Permission, EntityID(owner, device, "a", rbac.Permission)))
		time.Sleep(5 * time.Minute)
		s.holds(a)
		s.holds(b)
		s.c.set(func() { s.c.down = nil })
		time.Sleep(longPause + time.Second)
		s.ends(a, ErrRevoked)
		s.holds(b)
	})
}

// A node leaves out of a watch what only the inner blocks of a reorganisation change: it is found within a lease all the same.
func TestRevocationThatTheWatchLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		other := s.knocks(t.Context(), bob, "a")
		time.Sleep(time.Minute)
		s.c.set(func() { s.c.deaf = true })
		if err := s.p.run(rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(alice), Held: EntityID(owner, device, "a", rbac.Group)})); err != nil {
			t.Fatal(err)
		}
		grant(t, s.p, []string{"a", "b"}, "a", bob)
		s.c.reorganise(1, s.p.storage(t), s.p.storage(t))
		s.c.finalise()
		synctest.Wait()
		s.c.set(func() { s.c.deaf = false })
		s.holds(pass)
		s.waits(other)
		since := time.Now()
		<-pass.Done()
		s.ends(pass, ErrRevoked)
		if d := time.Since(since); d > DefaultLease {
			t.Errorf("after %v", d)
		}
		s.admitted(other)
	})
}

// An endpoint that is behind what was seen before is not believed: it is as if none answered.
func TestEndpointBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		carol := key.AccountID{0xca}
		s.grants(true, "a", alice)
		s.grants(true, "a", carol)
		s.admitted(s.knocks(t.Context(), alice, "a")).Release()
		old := s.c.blocks[:3]
		s.c.push(nil, true)
		s.grants(true, "b", bob)
		s.admitted(s.knocks(t.Context(), bob, "b"))
		all := s.c.blocks
		s.c.set(func() { s.c.blocks, s.c.finalised = slices.Clone(old), 2 })
		c := s.knocks(t.Context(), carol, "a")
		time.Sleep(time.Minute)
		s.waits(c)
		s.holds(s.admitted(s.knocks(t.Context(), alice, "a"))) // known of her from before
		s.c.set(func() { s.c.blocks, s.c.finalised = all, len(all)-1 })
		time.Sleep(time.Minute)
		s.admitted(c)
	})
}

func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(o *JudgeOptions) { o.MaxPending, o.MaxPendingPerAccount, o.MaxAccounts = 5, 3, 2 })
		defer s.stop()
		ctx, cancel := context.WithCancel(t.Context())
		var pending []<-chan answer
		knock := func(a key.AccountID, busy bool) {
			t.Helper()
			c := s.knocks(ctx, a, "a")
			if !busy {
				s.waits(c)
				pending = append(pending, c)
			} else if a := <-c; !errors.Is(a.err, ErrBusy) {
				t.Errorf("answered %v, %v", a.pass, a.err)
			}
		}
		for range 3 {
			knock(alice, false)
		}
		knock(alice, true) // of one account
		knock(bob, false)
		knock(device, true) // accounts
		knock(bob, false)
		knock(bob, true) // in total
		if s.c.watches != 2 || s.c.mostKeys > 3 {
			t.Errorf("%d watches of up to %d entries for two strangers", s.c.watches, s.c.mostKeys)
		}
		cancel()
		for _, c := range pending {
			if a := <-c; !errors.Is(a.err, context.Canceled) {
				t.Errorf("answered %v, %v", a.pass, a.err)
			}
		}
		synctest.Wait()
		if len(s.j.parties) != 0 {
			t.Errorf("%d parties", len(s.j.parties))
		}
		ctx = t.Context()
		knock(device, false)
	})
}

func TestStopEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		c := s.knocks(t.Context(), bob, "a")
		s.waits(c)
		s.stop()
		s.ends(pass, ErrStopped)
		if a := <-c; !errors.Is(a.err, ErrStopped) {
			t.Errorf("answered %v, %v", a.pass, a.err)
		}
		if a := <-s.knocks(t.Context(), alice, "a"); !errors.Is(a.err, ErrStopped) {
			t.Errorf("after the end: %v, %v", a.pass, a.err)
		}
		if err := s.j.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
	})
}

func TestAdmitBeforeRun(t *testing.T) {
	j := NewJudge(JudgeOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Admit(ctx, alice, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Many consumers at once, granted and not, coming and going while the owner grants and revokes.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		const n = 200
		accounts := make([]key.AccountID, n)
		group := EntityID(owner, device, "a", rbac.Group)
		s.grants(true, "a", alice)
		var calls []metadata.Call
		for i := range accounts {
			accounts[i] = key.AccountID{1, byte(i)}
			if i%2 == 0 {
				calls = append(calls, rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(accounts[i]), Held: group}))
			}
		}
		s.does(true, calls...)
		answers := make([]<-chan answer, n)
		for i, a := range accounts {
			answers[i] = s.knocks(t.Context(), a, "a")
		}
		passes := make([]*Pass, n)
		for i := range accounts {
			if i%2 == 0 {
				passes[i] = s.admitted(answers[i])
			} else {
				s.waits(answers[i])
			}
		}
		calls = nil
		for i := range accounts {
			a := rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(accounts[i]), Held: group}
			if i%2 == 0 {
				calls = append(calls, rbac.Unassign(a))
			} else {
				calls = append(calls, rbac.Assign(a))
			}
		}
		before := s.c.count("wait")
		s.does(false, calls...)
		synctest.Wait()
		if n := s.c.count("wait") - before; n != 1 {
			t.Errorf("%d waits for finality, want one for all", n)
		}
		for i := range accounts {
			if i%2 == 0 {
				s.ends(passes[i], ErrRevoked)
			} else {
				s.waits(answers[i])
			}
		}
		s.c.finalise()
		for i := range accounts {
			if i%2 == 1 {
				s.admitted(answers[i]).Release()
			}
		}
	})
}
