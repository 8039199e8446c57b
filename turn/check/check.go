// Package check finds out whether a TURN server does its work, leg by leg: its
// name, the way there, the certificate, the credential, the peer, the data. The
// first leg that fails is reported with its cause and what helps. It is a TURN
// client (RFC 8656) of its own, because it must tell causes apart that clients
// hide.
package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Config is what Run checks, and how. It is not changed.
type Config struct {
	// URL of the server: "turn:host:port?transport=udp" or tcp, "turns:..." for
	// DTLS and TLS (RFC 7065). Port and transport may be left out.
	URL string
	// Secret that credentials are minted with, as coordinators do; used unless
	// User is given.
	Secret string
	// User and Password of a static user. Without them and a Secret only what
	// needs no credential is checked.
	User, Password string
	// Worker is the media address of one to relay to. The zero value relays to
	// a socket of this process.
	Worker netip.AddrPort
	// RootCAs verify the certificate; nil means those of this machine.
	RootCAs *x509.CertPool
	// Insecure takes any certificate.
	Insecure bool
	// Timeout of each leg, and of the last answers of the last one; 0 means 5 s.
	Timeout time.Duration
	// Duration of the last one; 0 means 2 s, a minute at most.
	Duration time.Duration
	// Bitrate that is sent then, in bits of payload per second; 0 means 5 Mbit/s,
	// 100 Mbit/s at most, 9 to a worker, which answers 1000 packets a second.
	Bitrate int
}

const (
	defaultTimeout  = 5 * time.Second
	defaultDuration = 2 * time.Second
	maxDuration     = time.Minute
	defaultBitrate  = 5_000_000
	maxBitrate      = 100_000_000
	workerBitrate   = 9_000_000
)

// complete fills in defaults and refuses what cannot be checked.
func (cfg *Config) complete() error {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Duration == 0 {
		cfg.Duration = defaultDuration
	}
	if cfg.Bitrate == 0 {
		cfg.Bitrate = defaultBitrate
	}
	cfg.Worker = netip.AddrPortFrom(cfg.Worker.Addr().Unmap(), cfg.Worker.Port())
	switch {
	case cfg.Timeout < 0:
		return fmt.Errorf("a timeout of %s is no time", cfg.Timeout)
	case cfg.Duration < 0 || cfg.Duration > maxDuration:
		return fmt.Errorf("a duration of %s; choose one up to %s", cfg.Duration, maxDuration)
	case cfg.Bitrate < 8*packetSize || cfg.Bitrate > maxBitrate:
		return fmt.Errorf("a bitrate of %d bit/s; choose %d to %d", cfg.Bitrate, 8*packetSize, maxBitrate)
	case cfg.Worker.IsValid() && cfg.Bitrate > workerBitrate:
		return fmt.Errorf("a bitrate of %d bit/s: a worker answers 1000 packets a second; choose up to %d", cfg.Bitrate, workerBitrate)
	case cfg.User == "" && cfg.Password != "":
		return errors.New("a password without a user")
	case cfg.Worker != netip.AddrPort{} && (!cfg.Worker.IsValid() || cfg.Worker.Port() == 0):
		return errors.New("the worker needs an IP address and a port")
	}
	return nil
}

// run is one check under way.
type run struct {
	cfg    Config
	target target
	report Report
	each   func(Leg)

	addrs  []netip.Addr
	link   *link
	client *client
	relay  netip.AddrPort // the relayed address
	peer   *ownPeer       // nil when it is a worker
}

// step is one leg: what it found, in words. The error is a fault or a remark
// where there are words for it.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// Run checks the server and answers what it found; each, if not nil, is given
// every leg as soon as it is over. The error is one of Config, nothing was
// checked then. It blocks until the last leg is over or ctx has ended, and frees
// the allocation that it made.
func Run(ctx context.Context, cfg Config, each func(Leg)) (Report, error) {
	if err := cfg.complete(); err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	t, err := parseTarget(cfg.URL)
	if err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	if each == nil {
		each = func(Leg) {}
	}
	r := &run{cfg: cfg, target: t, report: Report{URL: cfg.URL}, each: each}
	defer r.close()
	for _, s := range r.steps() {
		if r.walk(ctx, s) != Passed {
			break
		}
	}
	return r.report, nil
}

// steps are the legs of a target, in their order.
func (r *run) steps() []step {
	steps := []step{{"resolve", r.resolve}}
	switch {
	case r.target.stream:
		steps = append(steps, step{"connect", r.connect})
		if r.target.secure {
			steps = append(steps, step{"tls", r.tls})
		}
	case r.target.secure:
		steps = append(steps, step{"dtls", r.dtls})
	}
	return append(steps, step{"stun", r.stun}, step{"allocate", r.allocate}, step{"peer", r.admit}, step{"data", r.data})
}

// walk goes one leg.
func (r *run) walk(ctx context.Context, s step) State {
	limit := r.cfg.Timeout
	if s.name == "data" {
		limit = r.cfg.Duration + 2*r.cfg.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	found, err := s.do(ctx)
	leg := Leg{Name: s.name, State: Passed, Took: time.Since(start), Found: found}
	leg.blame(err)
	r.report.Legs = append(r.report.Legs, leg)
	r.each(leg)
	return leg.State
}

// close frees what the check holds, the allocation first.
func (r *run) close() {
	if r.relay.IsValid() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.client.free(ctx) // else it expires
	}
	if r.peer != nil {
		r.peer.close()
	}
	if r.link != nil {
		_ = r.link.Close()
	}
}

// remaining is how long ctx still lasts.
func remaining(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return defaultTimeout
	}
	return time.Until(end)
}

// addrPort is a in its plain form.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	case *net.TCPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
