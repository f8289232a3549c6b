package spareport_test

import (
	"net"
	"strconv"
	"testing"

	"iod/spareport"
)

func TestFind(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		port, err := spareport.Find()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 10_240 || n > 32_767 || seen[port] {
			t.Fatalf("port %q of those that kernels do not hand out, of which there were %d; %v", port, len(seen), err)
		}
		seen[port] = true
		ln, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
}
