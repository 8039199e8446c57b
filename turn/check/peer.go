package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun"
)

// channel is the number that the peer is bound to (RFC 8656 12).
const channel = 0x4000

// admit asks for a permission for the peer, and binds the channel to it.
func (r *run) admit(ctx context.Context) (string, error) {
	to := r.cfg.Worker
	if !to.IsValid() {
		var err error
		if r.peer, err = openPeer(ctx, r); err != nil {
			return "", fmt.Errorf("open a peer on this machine: %w", err)
		}
		to = r.peer.seen
	}
	_, err := r.client.prove(ctx, stun.NewType(stun.MethodCreatePermission, stun.ClassRequest), peerAddress{to})
	if err == nil {
		number := attribute{stun.AttrChannelNumber, []byte{channel >> 8, channel & 0xff, 0, 0}}
		_, err = r.client.prove(ctx, stun.NewType(stun.MethodChannelBind, stun.ClassRequest), number, peerAddress{to})
	}
	if err != nil {
		return "", r.notAdmitted(to, err)
	}
	return fmt.Sprintf("%s may be relayed to", to), nil
}

// notAdmitted puts why a peer is refused into words.
func (r *run) notAdmitted(to netip.AddrPort, err error) error {
	var refused refusal
	switch {
	case !errors.As(err, &refused):
		return fault{cause: "the peer was not granted: " + err.Error(), remedy: "try again; packets may be lost on the way"}
	case refused.code != stun.CodeForbidden:
		return refused.fault(fmt.Sprintf("peer %s", to))
	}
	rule := ruleOf(refused.reason)
	if !r.cfg.Worker.IsValid() {
		return remark{
			cause:  fmt.Sprintf("the gate is well and relays only to workers (403 for %s, this machine%s)", to, inWords(rule)),
			remedy: "give --worker IP:PORT to relay data to one",
		}
	}
	return fault{
		code:   int(refused.code),
		cause:  fmt.Sprintf("403: the server refuses to relay to %s%s", to, inWords(rule)),
		remedy: remedyOf(rule),
	}
}

// ruleOf is the rule that a peer broke, as our gate tells in its reason phrase;
// "" for other servers.
func ruleOf(reason string) string {
	_, rule, _ := strings.Cut(reason, "Forbidden: ")
	return rule
}

func inWords(rule string) string {
	if rule == "" {
		return ""
	}
	return ", by the rule: " + rule
}

// remedyOf says what opens a peer that broke one of the gate's rules.
func remedyOf(rule string) string {
	switch rule {
	case "":
		return "the server's rules do not say why; coturn refuses private addresses without allowed-peer-ip"
	case "no worker", "private":
		return "no worker is registered at that address: is it up, and do gate and worker join the same coordinator (turn.coordinatorAddress)? Or list it in turn.peers"
	case "another port":
		return "a worker is registered there, at another port: compare with webrtc.singlePort"
	case "own address":
		return "that is the gate itself; give the address of a worker"
	case "loopback":
		return "loopback is relayed to only where a worker is registered there and the client is on the gate's own machine; give the worker's address in the network"
	}
	return "addresses of this kind are relayed to only if turn.peers names exactly one of them"
}

// ownPeer is a socket of this process that sends back what it is sent.
type ownPeer struct {
	conn *net.UDPConn
	seen netip.AddrPort // by the server
	got  atomic.Int64   // packets that came from the relay
	done sync.WaitGroup
}

// openPeer opens a socket and finds out under which address the server sees it:
// by STUN where the server answers that over UDP, else it takes the address
// that this machine has towards the server.
func openPeer(ctx context.Context, r *run) (*ownPeer, error) {
	local, remote := addrPort(r.link.LocalAddr()), addrPort(r.link.RemoteAddr())
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0)))
	if err != nil {
		return nil, err
	}
	p := &ownPeer{conn: conn, seen: addrPort(conn.LocalAddr())}
	try, cancel := share(ctx, 8) // no more: it may well be silent
	defer cancel()
	asking := newClient(newLink(towards{conn, net.UDPAddrFromAddrPort(remote)}, false))
	if answer, err := asking.ask(try, stun.BindingRequest); err == nil {
		var seen stun.XORMappedAddress
		if seen.GetFrom(answer) == nil {
			p.seen = toAddrPort(seen)
		}
	}
	return p, nil
}

// towards is an unconnected socket that writes to one address.
type towards struct {
	*net.UDPConn
	to *net.UDPAddr
}

// Write implements net.Conn.
func (t towards) Write(p []byte) (int, error) { return t.WriteToUDP(p, t.to) }

// echo sends back, until close, what comes from the relay. A NAT before this
// machine is opened for it first.
func (p *ownPeer) echo(relay netip.AddrPort) error {
	if err := p.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if _, err := p.conn.WriteToUDPAddrPort([]byte{0}, relay); err != nil {
		return err
	}
	p.done.Go(func() {
		buffer := make([]byte, maxFrame)
		for {
			n, from, err := p.conn.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil || from.Port() != relay.Port() {
				continue // ICMP, or somebody else
			}
			p.got.Add(1)
			_, _ = p.conn.WriteToUDPAddrPort(buffer[:n], from) // lost like any packet
		}
	})
	return nil
}

// close ends the echo.
func (p *ownPeer) close() {
	_ = p.conn.Close()
	p.done.Wait()
}
