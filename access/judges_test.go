package access_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"iod/access"
	"iod/devchain"
	"iod/key"
)

// grantFor grants a stream of a scope and waits until it is final.
func (o *owned) grantFor(scope key.AccountID, stream string, a key.AccountID) {
	o.t.Helper()
	o.change(scope, a, func(s access.State) (access.Plan, error) {
		return access.Grant(o.owner.Account(), scope, streams, stream, a, s)
	})
}

func (o *owned) revokeFor(scope key.AccountID, stream string, a key.AccountID) {
	o.t.Helper()
	o.change(scope, a, func(s access.State) (access.Plan, error) {
		return access.Revoke(o.owner.Account(), scope, streams, stream, a, s)
	})
}

func (o *owned) change(scope, a key.AccountID, plan func(access.State) (access.Plan, error)) {
	o.t.Helper()
	b, err := o.c.Best(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	s, err := access.Read(o.t.Context(), b, o.owner.Account(), scope, streams, a)
	if err != nil {
		o.t.Fatal(err)
	}
	p, err := plan(s)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.finalised(p.Calls...); err != nil {
		o.t.Fatal(err)
	}
}

func (o *owned) reaches(scopes []key.AccountID, stream string, a key.AccountID) bool {
	o.t.Helper()
	b, err := o.c.Finalised(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	ok, err := access.Reaches(o.t.Context(), b, o.owner.Account(), scopes, stream, a)
	if err != nil {
		o.t.Fatal(err)
	}
	return ok
}

func admit(t *testing.T, js access.Judges, a key.AccountID, stream string, patience time.Duration) (*access.Pass, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return js.Admit(ctx, a, stream)
}

// What is granted for a fleet holds on each of its devices, on no other, and a device's own grants hold beside it.
func TestFleetGrants(t *testing.T) {
	o := setting(t, devchain.Options{BlockTime: 50 * time.Millisecond})
	owner, bob := o.owner.Account(), o.alice
	fleet := access.FleetAccount(owner, "harbour")
	inside := access.Scopes(owner, o.device, "harbour")
	if len(inside) != 2 || fleet == access.FleetAccount(owner, "harbor") || fleet == access.FleetAccount(bob, "harbour") {
		t.Fatalf("scopes %v", inside)
	}
	js := access.NewJudges(access.JudgeOptions{Chain: access.OnChain(o.c), Owner: owner}, inside)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- js.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if _, err := admit(t, js, bob, "camera", 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a grant: %v", err)
	}
	if _, err := admit(t, js, bob, "No stream", time.Minute); !errors.Is(err, access.ErrNoStream) {
		t.Fatalf("of no stream: %v", err)
	}
	o.grantFor(fleet, "", bob)
	for stream, scopes := range map[string][]key.AccountID{"camera": inside, "measurements": inside} {
		if !o.reaches(scopes, stream, bob) || o.reaches(access.Scopes(owner, o.device, ""), stream, bob) || o.reaches(access.Scopes(owner, o.device, "other"), stream, bob) {
			t.Errorf("%s: granted for the fleet, the chain says something else", stream)
		}
	}
	pass, err := admit(t, js, bob, "camera", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.grantFor(o.device, "camera", bob)
	o.revokeFor(fleet, "", bob)
	<-pass.Done()
	if !errors.Is(pass.Err(), access.ErrRevoked) {
		t.Errorf("the fleet's pass ended: %v", pass.Err())
	}
	pass.Release()
	second, err := admit(t, js, bob, "camera", 20*time.Second)
	if err != nil {
		t.Fatalf("by the device's own grant: %v", err)
	}
	defer second.Release()
	if _, err := admit(t, js, bob, "measurements", 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what was granted for the fleet only: %v", err)
	}
}
