package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// subscribe opens a socket to which the kernel writes its routing messages.
func subscribe() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listen to the kernel's routing messages: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		f.Close()
		return nil, fmt.Errorf("listen to the kernel's routing messages: %w", err)
	}
	return f, nil
}

// watch listens to the kernel's routing messages.
func watch(ctx context.Context, up func()) error {
	f, err := subscribe()
	if err != nil {
		return err
	}
	defer f.Close()
	s := newSight()
	if err := s.begin(); err != nil {
		return err
	}
	news := make(chan struct{}, 1)
	var teller sync.WaitGroup
	defer teller.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	teller.Go(func() { gather(ctx, news, up) })
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, 16<<10)
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more than we could read: something certainly happened
			signal(news)
			continue
		case err != nil:
			return fmt.Errorf("listen to the kernel's routing messages: %w", err)
		}
		if s.take(buf[:n]) {
			signal(news)
		}
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// native is the byte order of this machine, in which the kernel writes.
var native = binary.NativeEndian

// maxSeen bounds what a sight remembers of each kind; a machine has few.
const maxSeen = 4096

// sight is what is known of the network, so that news can be told from what is only renewed.
type sight struct {
	running   map[int32]bool  // interfaces
	addresses map[string]bool // by interface and address
	routes    map[string]bool // to everywhere, by interface and gateway
}

func newSight() *sight {
	return &sight{running: map[int32]bool{}, addresses: map[string]bool{}, routes: map[string]bool{}}
}

// begin takes in what there is.
func (s *sight) begin() error {
	for _, what := range []int{unix.RTM_GETLINK, unix.RTM_GETADDR, unix.RTM_GETROUTE} {
		b, err := syscall.NetlinkRIB(what, unix.AF_UNSPEC)
		if err != nil {
			return fmt.Errorf("ask the kernel for the network: %w", err)
		}
		s.take(b)
	}
	return nil
}

// take takes in messages and reports whether there is something new in them that may carry traffic.
func (s *sight) take(b []byte) (news bool) {
	all, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false
	}
	for i := range all {
		m := &all[i]
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			news = s.link(m) || news
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			news = s.address(m) || news
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			news = s.route(m) || news
		}
	}
	return news
}

// link: struct ifinfomsg { u8 family, pad; u16 type; s32 index; u32 flags, change }.
func (s *sight) link(m *syscall.NetlinkMessage) bool {
	if len(m.Data) < unix.SizeofIfInfomsg || len(s.running) >= maxSeen {
		return false
	}
	index := int32(native.Uint32(m.Data[4:]))
	runs := m.Header.Type == unix.RTM_NEWLINK && native.Uint32(m.Data[8:])&unix.IFF_RUNNING != 0 && native.Uint32(m.Data[8:])&unix.IFF_LOOPBACK == 0
	was := s.running[index]
	if s.running[index] = runs; !runs {
		delete(s.running, index)
	}
	return runs && !was
}

// address: struct ifaddrmsg { u8 family, prefixlen, flags, scope; u32 index } and its attributes.
func (s *sight) address(m *syscall.NetlinkMessage) bool {
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil || len(m.Data) < unix.SizeofIfAddrmsg || m.Data[3] >= unix.RT_SCOPE_HOST {
		return false
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFA_ADDRESS {
			return change(s.addresses, string(m.Data[4:8])+string(a.Value), m.Header.Type == unix.RTM_NEWADDR)
		}
	}
	return false
}

// route: struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags } and its attributes.
func (s *sight) route(m *syscall.NetlinkMessage) bool {
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil || len(m.Data) < unix.SizeofRtMsg || m.Data[1] != 0 || m.Data[7] != unix.RTN_UNICAST {
		return false // not to everywhere
	}
	id := string(m.Data[:1])
	for _, a := range attrs {
		if a.Attr.Type == unix.RTA_GATEWAY || a.Attr.Type == unix.RTA_OIF {
			id += string(a.Value) + "/"
		}
	}
	return change(s.routes, id, m.Header.Type == unix.RTM_NEWROUTE)
}

// change notes that something is there, or no more, and reports whether it is there now and was not.
func change(seen map[string]bool, id string, there bool) bool {
	was := seen[id]
	if !there {
		delete(seen, id)
		return false
	}
	if len(seen) >= maxSeen {
		clear(seen)
	}
	seen[id] = true
	return !was
}
