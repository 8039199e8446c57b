package batch

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// polled says whether a descriptor is registered with any epoll of this process,
// as Go's netpoller registers its own for EPOLLOUT too.
func polled(t *testing.T, fd int) bool {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		if target, _ := os.Readlink("/proc/self/fd/" + d.Name()); target != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + d.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			var n int
			if _, err := fmt.Sscanf(line, "tfd: %d", &n); err == nil && n == fd {
				return true
			}
		}
	}
	return false
}

// TestSocketIsOutsideTheNetpoller: no epoll, so no wake-up for each datagram sent.
func TestSocketIsOutsideTheNetpoller(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(t, addr, Config{})
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if polled(t, c.fd) {
		t.Error("the socket is in the netpoller")
	}
	p, _ := peer(t, addr)
	raw, err := p.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if !polled(t, int(fd)) {
			t.Error("a net.UDPConn is not found in the netpoller: this test sees nothing")
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestOptions reads back what the package relies on.
func TestOptions(t *testing.T) {
	four := listen(t, netip.MustParseAddr("127.0.0.1"), Config{ReadBuffer: 100_000, WriteBuffer: 50_000})
	options := []struct {
		name                string
		fd                  int
		level, option, want int
	}{
		{"receive buffer", four.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 200_000},
		{"send buffer", four.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 100_000},
		{"path MTU", four.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_WANT},
	}
	if addr, ok := families(t)["IPv6"]; ok {
		six := listen(t, addr, Config{})
		options = append(options, options[0], options[0])
		options[3].name, options[3].fd, options[3].level, options[3].option, options[3].want = "IPv6 only", six.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1
		options[4].name, options[4].fd, options[4].level, options[4].option, options[4].want = "IPv6 path MTU", six.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT
	}
	for _, o := range options {
		got, err := unix.GetsockoptInt(o.fd, o.level, o.option)
		if err != nil || got != o.want {
			t.Errorf("%s: %d, %v, want %d", o.name, got, err, o.want)
		}
	}
	flags, err := unix.FcntlInt(uintptr(four.fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Error("core processes inherit the socket:", err)
	}
}

// TestSuccessorsOfTheDescriptorGetNothing closes sockets under writers that go on,
// while others are opened that are likely to get the number.
func TestSuccessorsOfTheDescriptorGetNothing(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	sink, to := peer(t, addr)
	foreign := net.UDPAddrFromAddrPort(to)
	for range 50 {
		c, err := Listen(netip.AddrPortFrom(addr, 0), Config{})
		if err != nil {
			t.Fatal(err)
		}
		started, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for n := range 5000 { // what the sink's buffer holds
				if _, err := c.WriteTo([]byte("x"), foreign); err != nil {
					return
				}
				if n == 3 {
					close(started)
				}
			}
		}()
		<-started
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		successor := listen(t, addr, Config{})
		<-ended
		if s := successor.Stats(); s.Packets != 0 {
			t.Fatalf("stats of the successor: %+v", s)
		}
		if sent := c.Stats().Packets; sent < 4 {
			t.Fatalf("%d datagrams sent", sent)
		}
		drain(t, sink, c.AddrPort())
	}
}

// drain reads what lies ready and wants all of it to be from one address.
func drain(t *testing.T, p *net.UDPConn, from netip.AddrPort) {
	t.Helper()
	end := []byte("the last one")
	if _, err := p.WriteTo(end, p.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	for {
		n, sender, err := p.ReadFromUDPAddrPort(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if string(buffer[:n]) == string(end) {
			return
		}
		if unmap(sender) != from {
			t.Fatalf("a datagram from %v, want %v", sender, from)
		}
	}
}
