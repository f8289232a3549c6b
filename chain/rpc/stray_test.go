package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Real nodes notify before the answer to subscribe and after unsubscribe was sent; with many subscriptions in one connection's life
// this adds up to more than any fixed number.
func TestLateNotificationsAreNoFault(t *testing.T) {
	const n = 2 * maxEnded
	c := dial(t, node(t, func(s *session) {
		for i := range n {
			r, _ := s.request()
			s.send(`{"method":"n","params":{"subscription":"%d","result":1}}`, i)
			s.send(`{"id":%s,"result":"%d"}`, r.ID, i)
			u, ok := s.request()
			if !ok {
				return
			}
			s.send(`{"method":"n","params":{"subscription":"%d","result":2}}`, i)
			s.send(`{"id":%s,"result":true}`, u.ID)
			s.send(`{"method":"n","params":{"subscription":"%d","result":3}}`, i)
		}
		s.drain()
	}), Options{})
	for i := range n {
		sub, err := c.Subscribe(t.Context(), "sub", "unsub")
		if err != nil {
			t.Fatalf("subscription %d: %v", i, err)
		}
		if r, err := sub.Next(t.Context()); err != nil || string(r) != "1" {
			t.Fatalf("subscription %d: %s, %v", i, r, err)
		}
		sub.Close()
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestNotificationsOfAnOrphanAreNoFault(t *testing.T) {
	const n = 3 * strays
	left, ended := make(chan struct{}), make(chan string, 1)
	c := dial(t, node(t, func(s *session) {
		r, _ := s.request()
		<-left
		for range n { // the caller is gone and its answer not yet sent
			s.send(`{"method":"n","params":{"subscription":7,"result":1}}`)
		}
		s.send(`{"id":%s,"result":7}`, r.ID)
		for range n {
			s.send(`{"method":"n","params":{"subscription":7,"result":1}}`)
		}
		u, _ := s.request()
		ended <- u.Method + string(u.Params[0])
		s.send(`{"id":%s,"result":true}`, u.ID)
		r, _ = s.request()
		s.send(`{"id":%s,"result":1}`, r.ID)
		s.drain()
	}), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Subscribe(ctx, "sub", "unsub"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(left)
	if got := <-ended; got != "unsub7" {
		t.Errorf("got %s", got)
	}
	if err := c.Call(t.Context(), nil, "barrier"); err != nil {
		t.Error(err)
	}
}

func TestFloodsOfNotificationsEndTheConnection(t *testing.T) {
	for name, script := range map[string]func(*session){
		"of an ended subscription": func(s *session) {
			r, _ := s.request()
			s.send(`{"id":%s,"result":"a"}`, r.ID)
			s.request()
			for range maxLate + 10*strays {
				s.send(`{"method":"n","params":{"subscription":"a","result":1}}`)
			}
		},
		"before an answer that does not come": func(s *session) {
			s.request()
			for i := range maxEarly + 10*strays {
				s.send(`{"method":"n","params":{"subscription":"%d","result":1}}`, i)
			}
		},
		"large ones before an answer": func(s *session) {
			s.request()
			for range 10 * strays {
				s.send(`{"method":"n","params":{"subscription":"a","result":"%s"}}`, strings.Repeat("x", 9<<10))
			}
		},
		"of a refused subscription": func(s *session) {
			r, _ := s.request()
			for range maxEarly {
				s.send(`{"method":"n","params":{"subscription":"a","result":1}}`)
			}
			s.send(`{"id":%s,"error":{"code":1,"message":"no"}}`, r.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, node(t, func(s *session) { script(s); s.drain() }), Options{MaxAnswer: 10 << 10})
			if sub, err := c.Subscribe(t.Context(), "sub", "unsub"); err == nil {
				sub.Close()
			}
			select {
			case <-c.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the connection goes on")
			}
			if !errors.Is(c.Err(), ErrProtocol) {
				t.Errorf("ended by %v", c.Err())
			}
		})
	}
}

func TestEndingsAreBounded(t *testing.T) {
	var e endings
	for i := range 3 * maxEnded {
		e.add(fmt.Sprint(i))
		e.add(fmt.Sprint(i))
	}
	if len(e.late) != maxEnded || len(e.order) != maxEnded {
		t.Errorf("remembers %d in %d", len(e.late), len(e.order))
	}
	if e.excuse("0") || !e.excuse(fmt.Sprint(3*maxEnded-1)) {
		t.Error("the newest are to be remembered")
	}
	e.forget(fmt.Sprint(3*maxEnded - 1))
	if e.excuse(fmt.Sprint(3*maxEnded-1)) || len(e.order) != maxEnded-1 {
		t.Error("a forgotten one is remembered")
	}
}

func TestStraysAreBoundedInTheirRate(t *testing.T) {
	var a allowance
	now := time.Unix(0, 0)
	took := func() (n int) {
		for a.take(now) {
			n++
		}
		return n
	}
	if n := took(); n != strays {
		t.Errorf("%d at once", n)
	}
	now = now.Add(3*strayEvery + strayEvery/2)
	if n := took(); n != 3 {
		t.Errorf("%d after three and a half", n)
	}
	now = now.Add(strayEvery / 2)
	if n := took(); n != 1 {
		t.Errorf("%d after half of one more", n)
	}
	now = now.Add(time.Hour)
	if n := took(); n != strays {
		t.Errorf("%d after an hour", n)
	}
	for range 1000 { // one from time to time is forgiven for ever
		if now = now.Add(strayEvery); !a.take(now) {
			t.Fatal("a rare stray is refused")
		}
	}
}
