package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// errNarrowed is why a connection ends that uses more than its stream shares now.
var errNarrowed = errors.New("the stream shares less than is subscribed to")

// Scope is what a stream shares, for filters whose topics change while connections go on.
type Scope struct {
	mu       sync.Mutex
	topics   *[]string // never changed, only replaced
	sessions map[*session]struct{}
}

// NewScope returns a scope of topic filters; invalid ones are an error.
func NewScope(topics []string) (*Scope, error) {
	c := &Scope{topics: new([]string), sessions: map[*session]struct{}{}}
	return c, c.Set(topics)
}

// Set changes the topic filters. Connections go on by the new ones, but for those that use more than is left: they end, and their
// consumers find out by connecting again. Invalid filters are an error, and then nothing changes.
func (c *Scope) Set(topics []string) error {
	for _, t := range topics {
		if err := ValidFilter(t); err != nil {
			return fmt.Errorf("set topics: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	narrower := slices.ContainsFunc(*c.topics, func(t string) bool { return !within(t, topics) })
	now := slices.Clone(topics)
	c.topics = &now
	for s := range c.sessions {
		s.allowed.Store(&now)
		if narrower && s.exceeds(topics) {
			s.stop(nil, errNarrowed)
		}
	}
	return nil
}

// enter makes a connection go by the scope until it is left.
func (c *Scope) enter(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.allowed.Store(c.topics)
	c.sessions[s] = struct{}{}
}

func (c *Scope) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}

// exceeds reports whether the connection may get more from the broker than topics. One that goes on with subscriptions of an earlier
// connection may: they are not known.
func (s *session) exceeds(topics []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumed {
		return true
	}
	for f := range s.subscribed {
		if !within(f, topics) {
			return true
		}
	}
	return false
}

// within reports whether a valid topic or topic filter matches nothing that one of others does not match.
func within(filter string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return subset(filter, o) })
}
