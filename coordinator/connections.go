package coordinator

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Bounds of TCP connections, idle, slow and hostile ones included, that are not
// sockets.
const (
	maxConnections     = 10_000
	maxConnectionsEach = 256 // from one public address
)

// bound puts the bounds on a listener: those of connections and of sockets.
func (c *Coordinator) bound(l net.Listener) *bounded {
	return newBounded(l, func() int {
		limits := c.now().limits
		return limits.Pages + limits.Roles + maxConnections
	}, func() int { return c.now().limits.PagesPerAddress + maxConnectionsEach }, &c.refused)
}

// bounded is a listener that closes what is over the bounds at once, before a
// byte is read, and counts it. Private addresses are bounded in sum only: they
// may be a proxy through which everybody comes.
type bounded struct {
	net.Listener
	crowd   *crowd
	limit   bound
	open    atomic.Int64
	refused *atomic.Uint64
}

func newBounded(l net.Listener, limit, perAddress bound, refused *atomic.Uint64) *bounded {
	return &bounded{Listener: l, crowd: newCrowd(perAddress), limit: limit, refused: refused}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := dialedFrom(conn.RemoteAddr())
		if b.open.Add(1) <= int64(b.limit()) && b.crowd.enter(from) {
			return &boundedConn{Conn: conn, exit: sync.OnceFunc(func() {
				b.crowd.exit(from)
				b.open.Add(-1)
			})}, nil
		}
		b.open.Add(-1)
		b.refused.Add(1)
		_ = conn.Close() // nothing was said on it
	}
}

// boundedConn counts itself out when it is closed.
type boundedConn struct {
	net.Conn
	exit func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.exit()
	return c.Conn.Close()
}

// dialedFrom is who a connection is counted as; the zero value is not counted.
func dialedFrom(remote net.Addr) address {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return address{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return address{}
	}
	return networkOf(ip)
}

// networkOf is the IPv4 address, or the IPv6 network of 64 bits, of ip.
func networkOf(ip netip.Addr) address {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	return address(netip.PrefixFrom(ip, bits).Masked())
}

// Refused counts the connections that were closed for there being too many. It
// may be called at any time.
func (c *Coordinator) Refused() uint64 { return c.refused.Load() }
