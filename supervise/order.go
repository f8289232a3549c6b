package supervise

import (
	"fmt"
	"slices"
	"strings"
)

// CheckOrder returns why programs cannot be started in an order in which each comes after those that it names in After.
func CheckOrder(programs []Program) error {
	known := map[string]bool{}
	for _, p := range programs {
		known[p.Name] = true
	}
	for _, p := range programs {
		for _, name := range p.After {
			if !known[name] {
				return fmt.Errorf("program %q is to start after %q, which is no program", p.Name, name)
			}
		}
	}
	if c := Cycle(programs); c != nil {
		return fmt.Errorf("programs wait for each other: %s", strings.Join(c, " after "))
	}
	return nil
}

// Cycle returns the names on a way from a program to itself by After, or nil.
func Cycle(programs []Program) []string {
	after := map[string][]string{}
	for _, p := range programs {
		after[p.Name] = p.After
	}
	done := map[string]bool{}
	var way []string
	var visit func(string) []string
	visit = func(name string) []string {
		if i := slices.Index(way, name); i >= 0 {
			return append(slices.Clone(way[i:]), name)
		}
		if done[name] {
			return nil
		}
		way = append(way, name)
		for _, next := range after[name] {
			if c := visit(next); c != nil {
				return c
			}
		}
		way = way[:len(way)-1]
		done[name] = true
		return nil
	}
	for _, p := range programs {
		if c := visit(p.Name); c != nil {
			return c
		}
	}
	return nil
}

// changes is what leads from some programs to others.
type changes struct {
	stop  []string // gone, or to be another process
	start []string // new, or to be another process
	soft  []string // the process stays, how it is looked after changes
}

// difference compares programs by name.
func difference(old, new []Program) (c changes) {
	before := map[string]Program{}
	for _, p := range old {
		before[p.Name] = p
	}
	stays := map[string]bool{}
	for _, p := range new {
		was, ok := before[p.Name]
		switch {
		case ok && sameProcess(was, p):
			stays[p.Name] = true
			c.soft = append(c.soft, p.Name)
		default:
			c.start = append(c.start, p.Name)
		}
	}
	for _, p := range old {
		if !stays[p.Name] {
			c.stop = append(c.stop, p.Name)
		}
	}
	return c
}
