package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/pion/stun"
)

// connect opens a TCP connection to the first address that takes one.
func (r *run) connect(ctx context.Context) (string, error) {
	err := r.first(ctx, func(_ context.Context, conn net.Conn) error {
		r.link = newLink(conn, true)
		return nil
	})
	if err != nil {
		return "", r.unreachable(err)
	}
	return fmt.Sprintf("%s takes the connection", r.link.RemoteAddr()), nil
}

// stun asks for the address that the server sees this machine at, which needs
// no credential. Over plain UDP nothing went there before.
func (r *run) stun(ctx context.Context) (string, error) {
	var seen netip.AddrPort
	ask := func(ctx context.Context, l *link) (err error) {
		c := newClient(l)
		if seen, err = c.binding(ctx); err == nil {
			r.link, r.client = l, c
		}
		return err
	}
	var err error
	if r.link != nil {
		err = ask(ctx, r.link)
	} else {
		err = r.first(ctx, func(ctx context.Context, conn net.Conn) error { return ask(ctx, newLink(conn, false)) })
	}
	if err != nil {
		return "", r.unreachable(err)
	}
	return r.seenAs(seen), nil
}

// seenAs says how the server sees this machine.
func (r *run) seenAs(seen netip.AddrPort) string {
	server := r.link.RemoteAddr()
	switch {
	case !seen.IsValid():
		return fmt.Sprintf("%s answers, though not STUN Binding", server)
	case addrPort(r.link.LocalAddr()) == seen:
		return fmt.Sprintf("%s answers; there is no NAT between", server)
	}
	return fmt.Sprintf("%s answers; it sees this machine as %s", server, seen)
}

// share is ctx with its time divided by the number of tries that are left.
func share(ctx context.Context, tries int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, remaining(ctx)/time.Duration(tries))
}

// first opens a connection to each address in turn until use is content with
// one, and answers why the last was not.
func (r *run) first(ctx context.Context, use func(context.Context, net.Conn) error) error {
	failed := errSilent
	for i, ip := range r.addrs {
		try, cancel := share(ctx, len(r.addrs)-i)
		var d net.Dialer
		conn, err := d.DialContext(try, strings.ToLower(r.target.transport()), netip.AddrPortFrom(ip, r.target.port).String())
		if err == nil {
			if err = use(try, conn); err != nil {
				_ = conn.Close()
			}
		}
		cancel()
		if failed = err; err == nil {
			return nil
		}
	}
	return failed
}

// unreachable puts why there was no answer into words.
func (r *run) unreachable(err error) error {
	t := r.target
	service := fmt.Sprintf("%s port %d", t.transport(), t.port)
	var answer refusal
	switch {
	case errors.As(err, &answer):
		return answer.fault("the server refuses to say how it sees this machine")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault{
			cause:  "the machine is there, but no program listens at " + service,
			remedy: "start the gate, or compare the port with turn.listeners; a firewall that refuses looks the same",
		}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fault{
			cause:  fmt.Sprintf("no way leads there: %v", err),
			remedy: "look at this machine's network; an IPv6 address needs IPv6 here, too",
		}
	case errors.Is(err, errNoFrame):
		return fault{cause: fmt.Sprintf("no TURN server listens at %s: %v", service, err), remedy: "compare the port with turn.listeners"}
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return r.silent(service)
	}
	return fault{
		cause:  fmt.Sprintf("%s was reached and gave up: %v", service, err),
		remedy: "no TURN server may listen there, or one that wants TLS: try " + strings.Replace(t.over(strings.ToLower(t.transport())), "turn:", "turns:", 1),
	}
}

// silent is the fault when nothing came back. Over UDP it finds out whether the
// same port answers over TCP: then it is UDP that something between drops.
func (r *run) silent(service string) error {
	if r.target.stream {
		return fault{
			cause:  service + " is silent: packets to it are dropped on the way, or the machine is down",
			remedy: "let the port through the firewalls between, or correct the address",
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	if r.answersTCP(ctx) {
		return fault{
			cause:  fmt.Sprintf("UDP blocked but TCP works: %s is silent, TCP port %d of the same host answers", service, r.target.port),
			remedy: "let UDP through the firewalls between; until then offer clients " + r.target.over("tcp"),
		}
	}
	return fault{
		cause:  service + " is silent, and TCP at the same port is, too",
		remedy: "let the port through the firewalls between, start the gate, or correct the address",
	}
}

// answersTCP says whether a TURN server answers at the target's port over TCP.
// For one that wants TLS it is enough to take the connection.
func (r *run) answersTCP(ctx context.Context) bool {
	over := run{cfg: r.cfg, target: r.target, addrs: r.addrs}
	over.target.stream = true
	defer over.close()
	if _, err := over.connect(ctx); err != nil {
		return false
	}
	if r.target.secure {
		return true
	}
	over.client = newClient(over.link)
	_, err := over.client.binding(ctx)
	var answer refusal
	return err == nil || errors.As(err, &answer)
}

// binding asks for this machine's address as the server sees it. A server that
// does not answer that (coturn's --no-stun) is asked for a relay instead, which
// it answers with what it wants first.
func (c *client) binding(ctx context.Context) (netip.AddrPort, error) {
	half, cancel := share(ctx, 2)
	defer cancel()
	answer, err := c.ask(half, stun.BindingRequest)
	if errors.Is(err, errSilent) {
		_, err = c.ask(ctx, stun.NewType(stun.MethodAllocate, stun.ClassRequest), requestedUDP())
		var refused refusal
		if errors.As(err, &refused) {
			return netip.AddrPort{}, nil
		}
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	var seen stun.XORMappedAddress
	if err := seen.GetFrom(answer); err != nil {
		return netip.AddrPort{}, fmt.Errorf("read the address in the answer: %w", err)
	}
	return toAddrPort(seen), nil
}
