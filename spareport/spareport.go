// Package spareport finds ports of loopback for servers that others start: a port that is named to them before they listen on it.
package spareport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports to choose from. Kernels hand out higher ones, to whoever asks for any and to whoever dials: one of those, free now, may be in
// use a moment later.
const (
	lowest  = 10_240
	highest = 32_767
	tries   = 100
)

// Find returns a port that nobody listens on now.
func Find() (string, error) {
	var err error
	for range tries {
		var ln net.Listener
		port := strconv.Itoa(lowest + rand.IntN(highest-lowest+1))
		if ln, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, ln.Close()
		}
	}
	return "", errors.Join(fmt.Errorf("find a free port: none of %d tried from %d to %d", tries, lowest, highest), err)
}
