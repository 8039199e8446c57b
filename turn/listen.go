package turn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/cloudretro/cloudretro/turn/relay"
)

// Protocols that a Listener may speak with clients. What is relayed is always
// UDP.
const (
	UDP  = "udp"
	TCP  = "tcp"
	TLS  = "tls"  // over TCP
	DTLS = "dtls" // over UDP
)

// Listener is one address that clients reach the gate at.
type Listener struct {
	// Protocol is UDP, TCP, TLS or DTLS.
	Protocol string
	// Address is host:port, bound exactly as it says: an empty host or "[::]"
	// is every address of both families, "0.0.0.0" every IPv4 address; a name
	// stands for its first address, IPv4 before IPv6. Port 0 takes a free one
	// (see Gate.URLs).
	Address string
	// CertFile and KeyFile are PEM files for TLS and DTLS, read again when they
	// change; both or none. Without them a certificate is made, which browsers
	// refuse.
	CertFile, KeyFile string
	// Certificates in memory, in place of files; the one for the name that a
	// client asks for is shown, else the first.
	Certificates []tls.Certificate
	// Name of the listener in logs and metrics; "" means Address.
	Name string
}

// String is the listener in logs and metrics.
func (l Listener) String() string { return l.Protocol + " " + l.name() }

func (l Listener) name() string { return cmp.Or(l.Name, l.Address) }

// validate refuses what cannot work.
func (l Listener) validate() error {
	switch l.Protocol {
	case UDP, TCP:
		if l.CertFile != "" || l.KeyFile != "" || len(l.Certificates) > 0 {
			return fmt.Errorf("turn.listeners: %s shows no certificate; leave it out, or choose %q or %q", l, TLS, DTLS)
		}
	case TLS, DTLS:
		if (l.CertFile == "") != (l.KeyFile == "") {
			return fmt.Errorf("turn.listeners: %s has only one of certificate and key; name both, or none for a self-made one", l)
		}
	default:
		return fmt.Errorf("turn.listeners: protocol %q is not spoken; choose %q, %q, %q or %q", l.Protocol, UDP, TCP, TLS, DTLS)
	}
	return nil
}

// scheme and transport are those of the listener's URL (RFC 7065).
func (l Listener) scheme() string {
	if l.Protocol == TLS || l.Protocol == DTLS {
		return "turns:"
	}
	return "turn:"
}

func (l Listener) transport() string {
	if l.Protocol == TCP || l.Protocol == TLS {
		return "tcp"
	}
	return "udp"
}

// resolvePatience bounds the look-up of a name.
const resolvePatience = 10 * time.Second

// resolve is the address that host:port names, and whether the host is empty.
func resolve(address string) (addr netip.AddrPort, anywhere bool, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return addr, false, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return addr, false, fmt.Errorf("port %q is not one of 0..65535", service)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), true, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), uint16(port)), false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolvePatience)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return addr, false, err
	}
	for _, ip := range found {
		if ip = ip.Unmap(); !addr.IsValid() || ip.Is4() && addr.Addr().Is6() {
			addr = netip.AddrPortFrom(ip, uint16(port))
		}
	}
	if !addr.IsValid() {
		return addr, false, fmt.Errorf("the name %q has no address", host)
	}
	return addr, false, nil
}

// listen binds a listener. An empty host falls back to IPv4 where there is no
// IPv6.
func (g *Gate) listen(l Listener) (*relay.Listener, error) {
	addr, anywhere, err := resolve(l.Address)
	if err != nil {
		return nil, err
	}
	conn, err := g.bind(l, addr)
	if err != nil && anywhere && !inUse(err) {
		four := netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		if second, err := g.bind(l, four); err == nil {
			return second, nil
		}
	}
	return conn, err
}

func (g *Gate) bind(l Listener, addr netip.AddrPort) (*relay.Listener, error) {
	switch l.Protocol {
	case UDP:
		return g.relay.ListenUDP(addr)
	case DTLS:
		cert, err := g.identity(l)
		if err != nil {
			return nil, err
		}
		ln, err := listenDTLS(addr, cert, logFactory{g.log})
		if err != nil {
			return nil, err
		}
		return g.streams(ln, relay.Datagram)
	}
	ln, err := net.ListenTCP(network("tcp", addr), net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	if l.Protocol == TCP {
		return g.streams(ln, relay.Stream)
	}
	cert, err := g.identity(l)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return g.streams(tls.NewListener(ln, cert.serverConfig()), relay.Stream)
}

// streams hands a net.Listener over.
func (g *Gate) streams(ln net.Listener, framing relay.Framing) (*relay.Listener, error) {
	conn, err := g.relay.ListenStreams(ln, framing)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return conn, nil
}

// identity is the one of a listener, shared by those that name the same files.
func (g *Gate) identity(l Listener) (*identity, error) {
	if len(l.Certificates) > 0 {
		i := newGiven(l.Certificates)
		g.identities = append(g.identities, i)
		return i, nil
	}
	for _, i := range g.identities {
		if i.files != nil && i.certFile == l.CertFile && i.keyFile == l.KeyFile {
			return i, nil
		}
	}
	i, err := newIdentity(l.CertFile, l.KeyFile, g.cfg.PublicAddress, g.log)
	if err != nil {
		return nil, err
	}
	g.identities = append(g.identities, i)
	return i, nil
}

// network is what package net calls the family that addr binds.
func network(transport string, addr netip.AddrPort) string {
	switch {
	case addr.Addr().Is4():
		return transport + "4"
	case addr.Addr().IsUnspecified():
		return transport // both
	}
	return transport + "6"
}
