package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// Sizes of the sockets' kernel buffers. A burst of frames to many viewers must
// fit; the kernel caps them at net.core.{r,w}mem_max without an error.
const (
	readBuffer  = 2 << 20 // bytes
	writeBuffer = 4 << 20 // bytes
)

// maxSockets bounds how many of the host's addresses are served: each of them
// is a candidate in every answer.
const maxSockets = 32

// portTries is how often another free port is tried when the first one, chosen
// by the kernel, is taken on another address.
const portTries = 8

// hostAddrs are the unicast addresses of the interfaces that are up, loopback
// included, link-local ones excluded (browsers do not pair them across zones).
func hostAddrs() ([]netip.Addr, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var out []netip.Addr
	for _, iface := range ifaces {
		if iface.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := iface.Addrs()
		if err != nil {
			continue // the interface went away
		}
		for _, a := range addrs {
			out = addAddr(out, a.String())
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no network interface with an address is up")
	}
	return out, nil
}

// listenUDP opens one socket per address, all on the same port. Port 0 takes
// any port that is free on all of them.
func listenUDP(cfg batch.Config, addrs []netip.Addr, port int) ([]*batch.Conn, error) {
	tries := 1
	if port == 0 {
		tries = portTries
	}
	var err error
	for range tries {
		var conns []*batch.Conn
		if conns, err = listenPort(cfg, addrs, port); err == nil {
			return conns, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, err
}

// addAddr adds an address ("ip/bits") that media can have. Two interfaces may
// have the same one, which can be bound but once.
func addAddr(to []netip.Addr, address string) []netip.Addr {
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return to
	}
	ip := prefix.Addr().Unmap()
	if !ip.IsGlobalUnicast() && !ip.IsLoopback() || len(to) == maxSockets || slices.Contains(to, ip) {
		return to
	}
	return append(to, ip)
}

func listenPort(cfg batch.Config, addrs []netip.Addr, port int) (conns []*batch.Conn, err error) {
	defer func() {
		if err != nil {
			closeAll(conns)
			conns = nil
		}
	}()
	var skipped error
	for _, ip := range addrs {
		conn, err := batch.Listen(netip.AddrPortFrom(ip, uint16(port)), cfg)
		if err != nil && errors.Is(err, syscall.EADDRNOTAVAIL) {
			// An address that is still (or no longer) tentative, or IPv6 turned off.
			cfg.Logger.Warn("media address skipped", "address", ip, "error", err)
			skipped = err
			continue
		}
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
		if port == 0 {
			port = int(conn.AddrPort().Port())
		}
	}
	if len(conns) == 0 {
		return nil, skipped
	}
	return conns, nil
}

func closeAll(conns []*batch.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
