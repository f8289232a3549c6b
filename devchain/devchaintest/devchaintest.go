// Package devchaintest starts development chains for tests.
package devchaintest

import (
	"context"
	"net"
	"testing"

	"iod/devchain"
)

// Start runs a chain on a free loopback port until the test ends, and returns its WebSocket URL (http:// on the same
// host and port answers POST).
func Start(t testing.TB, o devchain.Options) (url string, c *devchain.Chain) {
	t.Helper()
	c, err := devchain.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("devchain: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("devchain: %v", err)
		}
	})
	return "ws://" + ln.Addr().String(), c
}
