package main

import (
	"context"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	none := func(string) string { return "" }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(over, []string{"--listen", "127.0.0.1:0"}, none); err != nil {
		t.Errorf("a station that is stopped at once: %v", err)
	}
	for want, args := range map[string][]string{
		"unexpected argument": {"x"},
		"not defined":         {"--nope"},
	} {
		if err := run(over, args, none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	env := func(name string) string { return map[string]string{"WEATHER_INTERVAL": "soon"}[name] }
	if err := run(over, nil, env); err == nil || !strings.Contains(err.Error(), `WEATHER_INTERVAL="soon"`) {
		t.Error(err)
	}
}
