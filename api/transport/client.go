package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// ParseProxies reads addresses and prefixes of trusted proxies.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range texts {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		} else if p, err := netip.ParsePrefix(s); err == nil {
			all = append(all, p.Masked())
		} else {
			return nil, fmt.Errorf("trusted proxy %.60q is neither an address nor a prefix such as 10.0.0.0/8", s)
		}
	}
	return all, nil
}

func among(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Client is the address of who asks: the connection's, or, when that is a trusted proxy's, the last one in X-Forwarded-For that is not. What
// stands before that one, anybody may have written.
func Client(r *http.Request, proxies []netip.Prefix) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := ap.Addr().Unmap().WithZone("")
	if !among(client, proxies) {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if client = hop.Unmap().WithZone(""); !among(client, proxies) {
			break
		}
	}
	return client
}

// network is what is counted as one client: an IPv4 address, or the /64 that an IPv6 host may choose its addresses from.
func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}
