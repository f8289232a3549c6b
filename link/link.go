// Package link tells when a machine's network may have come back: a network interface that runs again, another address, another
// route to everywhere. The kernel tells; nothing is asked and nothing sent. What is merely renewed, as addresses are by each
// router's advertisement, is no news.
package link

import (
	"context"
	"time"
)

// calm is how long after a piece of news others belong to it: an interface comes with its addresses and routes. Tests shorten it.
var calm = 250 * time.Millisecond

// Watch calls up whenever the network may have come back, until ctx ends. Where the kernel does not tell it returns an error at once.
func Watch(ctx context.Context, up func()) error { return watch(ctx, up) }

// gather calls up once for what comes together, and not before it is over.
func gather(ctx context.Context, news <-chan struct{}, up func()) {
	timer := time.NewTimer(calm)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			timer.Reset(calm)
		case <-timer.C:
			up()
		}
	}
}
