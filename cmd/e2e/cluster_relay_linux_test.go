package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// relaying is a TURN client (RFC 8656) that asks for what it likes.
type relaying struct {
	t       *testing.T
	conn    net.Conn
	refused int // error code of the allocation, 0 = it was granted
	auth    []stun.Setter
	channel uint16
}

// gate is where the gates of an installation are reached over UDP.
func (i *installation) gate(t *testing.T) netip.AddrPort {
	t.Helper()
	return i.nodeAt(i.nodePort(t, "turn", "turn-udp"))
}

// nodeAt is a port of a node.
func (i *installation) nodeAt(port int32) netip.AddrPort {
	return netip.AddrPortFrom(i.nodes[0], uint16(port))
}

// answered waits until nodes lead to a gate. A flow of UDP that begins before they
// do stays without one, as conntrack keeps what it was first (nf_conntrack).
func answered(t *testing.T, at netip.AddrPort) {
	t.Helper()
	within(t, time.Minute, "an answer of "+at.String(), func(context.Context) error {
		for range 4 {
			conn, err := net.Dial("udp4", at.String())
			if err != nil {
				return err
			}
			_, errWrite := conn.Write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
			_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			_, errRead := conn.Read(make([]byte, 1500))
			if err := errors.Join(errWrite, errRead, conn.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

// allocate opens a relay with a page's credential.
func allocate(t *testing.T, at netip.AddrPort, server signal.ICEServer) *relaying {
	t.Helper()
	conn, err := net.Dial("udp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	r := &relaying{t: t, conn: conn, channel: 0x4000}
	udp := stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}
	var nonce stun.Nonce
	var realm stun.Realm
	challenge, code := r.ask(stun.MethodAllocate, udp)
	if err := errors.Join(nonce.GetFrom(challenge), realm.GetFrom(challenge)); code != 401 || err != nil {
		t.Fatalf("allocating without a credential: code %d, %v", code, err)
	}
	r.auth = []stun.Setter{stun.NewUsername(server.Username), realm, nonce, stun.NewLongTermIntegrity(server.Username, realm.String(), server.Credential)}
	_, r.refused = r.ask(stun.MethodAllocate, udp)
	t.Cleanup(func() {
		if r.refused == 0 {
			r.ask(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: make([]byte, 4)})
		}
		_ = conn.Close()
	})
	return r
}

// ask sends a request until it is answered; code is 0 for success.
func (r *relaying) ask(method stun.Method, set ...stun.Setter) (answer *stun.Message, code int) {
	r.t.Helper()
	set = append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, append(set, r.auth...)...)
	m, err := stun.Build(set...)
	if err != nil {
		r.t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for end := time.Now().Add(patient); time.Now().Before(end); {
		if _, err := r.conn.Write(m.Raw); err != nil {
			continue // nobody listens there yet
		}
		_ = r.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := r.conn.Read(buf)
		answer := &stun.Message{Raw: buf[:max(n, 0)]}
		if err != nil || answer.Decode() != nil || answer.TransactionID != m.TransactionID {
			continue
		}
		var failure stun.ErrorCodeAttribute
		if answer.Type.Class == stun.ClassErrorResponse && failure.GetFrom(answer) == nil {
			code = int(failure.Code)
		}
		return answer, code
	}
	r.t.Fatalf("the gate does not answer %s", method)
	return nil, 0
}

// xorPeer is XOR-PEER-ADDRESS (RFC 8656 section 18.3).
type xorPeer netip.AddrPort

// AddTo implements stun.Setter.
func (p xorPeer) AddTo(m *stun.Message) error {
	addr := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: addr.Addr().AsSlice(), Port: int(addr.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

// permit asks for a permission; the code is 0 if it was granted.
func (r *relaying) permit(peer netip.AddrPort) int {
	r.t.Helper()
	_, code := r.ask(stun.MethodCreatePermission, xorPeer(peer))
	return code
}

// bind asks for a channel; the code is 0 if it was granted.
func (r *relaying) bind(peer netip.AddrPort) int {
	r.t.Helper()
	number := stun.RawAttribute{Type: stun.AttrChannelNumber, Value: binary.BigEndian.AppendUint32(nil, uint32(r.channel)<<16)}
	_, code := r.ask(stun.MethodChannelBind, number, xorPeer(peer))
	if code == 0 {
		r.channel++
	}
	return code
}
