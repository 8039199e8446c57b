// Package gateway serves the Gateway API (gateway.networking.k8s.io) with the
// gates of an installation: it turns GatewayClasses, Gateways, UDPRoutes,
// ReferenceGrants and our own GatewayConfigs, StaticServices and UDPRoutes
// (cloudretro.dev) into listeners for the turn pods, and, in the pod that leads,
// into Services and the conditions that the specification words.
package gateway

import (
	"context"
	"crypto/tls"
	"net/netip"
)

// Protocols of a Listener, as package turn names them.
const (
	UDP  = "udp"
	TCP  = "tcp"
	TLS  = "tls"
	DTLS = "dtls"
)

// Listener is what the turn pods are to serve for one listener of a Gateway.
type Listener struct {
	// ID is namespace/gateway/listener.
	ID       string
	Protocol string
	// Port that pods bind; the Service of the Gateway leads to it.
	Port uint16
	// PublicAddress is how clients reach the Gateway, "" if that is not known.
	PublicAddress string
	Realm         string
	// Secrets that time-limited credentials may be minted with, the newest first,
	// and static users. One of the two is empty.
	Secrets []string
	Users   []User
	// Certificates for TLS and DTLS.
	Certificates []tls.Certificate
	// Peers that may be relayed to: prefixes of static backends.
	Peers []Peer
	// Endpoints that may be relayed to: those of the Services that routes name.
	Endpoints []netip.AddrPort
	// Closed are the addresses of Services, sorted: a prefix of more than one
	// address does not open them. It is shared and not to be written to.
	Closed []netip.Addr
}

// User is a static user.
type User struct{ Name, Password string }

// Peer is a static backend. From > To means no port, 0 and 0 every one.
type Peer struct {
	Prefix   netip.Prefix
	From, To uint16
}

// Fleet serves listeners. It is implemented over package turn.
type Fleet interface {
	// Apply has exactly these listeners served. What did not change goes on
	// undisturbed; what may change while it runs (credentials, certificates, peers,
	// endpoints) is changed without loss of sessions; a listener that is gone takes
	// no new sessions and ends when the last of it has, or its grace is over. The
	// errors are by ID: those that are not served, and why. It may be called by one
	// goroutine at a time.
	Apply(ctx context.Context, listeners []Listener) map[string]error
}
