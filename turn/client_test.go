package turn

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/credential"
)

// caller speaks STUN with a gate, word by word, over any transport. It is for
// the answers that a real client would hide.
type caller struct {
	t          *testing.T
	conn       net.Conn
	stream     bool
	username   string
	key        []byte
	nonce      stun.Nonce
	wasRefused string // reason phrase of the last error
}

// call connects to listener i of a gate.
func (g gate) call(t *testing.T, i int) *caller {
	t.Helper()
	d := g.doors[i]
	local, _ := addrPort(d.LocalAddr())
	if local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(loopback(false), local.Port())
	}
	c := &caller{t: t, stream: d.listener.transport() == "tcp"}
	var err error
	switch d.listener.Protocol {
	case TLS:
		c.conn, err = tls.Dial("tcp", local.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"stun.turn"}})
	case DTLS:
		c.conn, err = dtls.Dial("udp", net.UDPAddrFromAddrPort(local), &dtls.Config{InsecureSkipVerify: true})
	default:
		c.conn, err = net.Dial(d.listener.Protocol, local.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// as gives the caller a credential for what follows.
func (c *caller) as(username, password string) *caller {
	c.username = username
	c.key = stun.NewLongTermIntegrity(username, defaultRealm, password)
	return c
}

// minted is as with a good credential for a session.
func (c *caller) minted(session string) *caller {
	username, password, err := credential.Mint(secret, session, time.Hour, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return c.as(username, password)
}

// build makes a request; with proof signed and under the last nonce.
func (c *caller) build(method stun.Method, proof bool, set ...stun.Setter) *stun.Message {
	c.t.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, set...)
	if proof {
		all = append(all, stun.NewUsername(c.username), stun.NewRealm(defaultRealm), c.nonce, stun.MessageIntegrity(c.key))
	}
	m, err := stun.Build(all...)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// exchange sends a message and waits for the answer to it.
func (c *caller) exchange(m *stun.Message) *stun.Message {
	c.t.Helper()
	c.send(m.Raw)
	for {
		answer, err := c.receive(patient)
		if err != nil {
			c.t.Fatalf("no answer to %s: %v", m.Type, err)
		}
		if answer.TransactionID == m.TransactionID {
			return answer
		}
	}
}

func (c *caller) send(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// receive waits for one STUN message; ChannelData is passed over.
func (c *caller) receive(patience time.Duration) (*stun.Message, error) {
	buf := make([]byte, 2048)
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for {
		n, err := c.read(buf)
		if err != nil {
			return nil, err
		}
		m := &stun.Message{}
		if _, err := m.Write(buf[:n]); err == nil {
			return m, nil
		}
	}
}

// read reads one message: of a stream by its length.
func (c *caller) read(buf []byte) (int, error) {
	if !c.stream {
		return c.conn.Read(buf)
	}
	if _, err := io.ReadFull(c.conn, buf[:4]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(buf[2:]))
	if buf[0]&0xc0 == 0 {
		n += 16
	} else {
		n = (n + 3) &^ 3
	}
	if 4+n > len(buf) {
		return 0, errors.New("a message that is too long")
	}
	_, err := io.ReadFull(c.conn, buf[4:4+n])
	return 4 + n, err
}

// ask sends a signed request, after asking for a nonce where there is none, and
// answers the error code, 0 for success.
func (c *caller) ask(method stun.Method, set ...stun.Setter) int {
	c.t.Helper()
	if len(c.nonce) == 0 {
		c.challenge()
	}
	return c.code(c.exchange(c.build(method, true, set...)))
}

// challenge has the gate give a nonce.
func (c *caller) challenge() {
	c.t.Helper()
	answer := c.exchange(c.build(stun.MethodAllocate, false))
	if code := c.code(answer); code != 401 {
		c.t.Fatalf("a request without a credential is answered with %d", code)
	}
	var realm stun.Realm
	if err := errors.Join(c.nonce.GetFrom(answer), realm.GetFrom(answer)); err != nil || realm.String() != defaultRealm {
		c.t.Fatalf("the challenge has realm %q: %v", realm, err)
	}
}

// code is the error code of an answer, 0 for success. A signature must be right.
func (c *caller) code(m *stun.Message) int {
	c.t.Helper()
	if m.Contains(stun.AttrMessageIntegrity) && stun.MessageIntegrity(c.key).Check(m) != nil {
		c.t.Errorf("%s is not signed with the client's key", m.Type)
	}
	if m.Type.Class == stun.ClassSuccessResponse {
		return 0
	}
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(m); err != nil {
		c.t.Fatalf("%s has no error code: %v", m.Type, err)
	}
	c.wasRefused = string(code.Reason)
	return int(code.Code)
}

// allocate opens a relay or fails the test.
func (c *caller) allocate(set ...stun.Setter) *caller {
	c.t.Helper()
	if code := c.ask(stun.MethodAllocate, append([]stun.Setter{overUDP()}, set...)...); code != 0 {
		c.t.Fatalf("no allocation: %d %s", code, c.wasRefused)
	}
	return c
}

// end gives the relay back.
func (c *caller) end() {
	c.t.Helper()
	if code := c.ask(stun.MethodRefresh, lifetime(0)); code != 0 {
		c.t.Errorf("the end of a relay is refused: %d", code)
	}
}

// dataTo sends a Send indication.
func (c *caller) dataTo(peer netip.AddrPort, data string) {
	c.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), xorPeer(peer),
		stun.RawAttribute{Type: stun.AttrData, Value: []byte(data)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(m.Raw)
}

// channelData sends over a channel.
func (c *caller) channelData(channel uint16, data string) {
	c.t.Helper()
	p := binary.BigEndian.AppendUint16(nil, channel)
	p = binary.BigEndian.AppendUint16(p, uint16(len(data)))
	p = append(p, data...)
	for c.stream && len(p)%4 != 0 {
		p = append(p, 0)
	}
	c.send(p)
}

func overUDP() stun.Setter {
	return stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocolUDP, 0, 0, 0}}
}

func family(f byte) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{f, 0, 0, 0}}
}

func lifetime(d time.Duration) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrLifetime, Value: binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))}
}

func channel(n uint16) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrChannelNumber, Value: binary.BigEndian.AppendUint32(nil, uint32(n)<<16)}
}

// xorPeer is XOR-PEER-ADDRESS, in the very form of addr: pion would write a
// mapped address as IPv4.
type xorPeer netip.AddrPort

// AddTo implements stun.Setter.
func (p xorPeer) AddTo(m *stun.Message) error {
	addr := netip.AddrPort(p)
	raw := addr.Addr().AsSlice()
	mask := binary.BigEndian.AppendUint32(nil, magicCookie)
	mask = append(mask, m.TransactionID[:]...)
	for i := range raw {
		raw[i] ^= mask[i]
	}
	value := []byte{0, familyOf(!addr.Addr().Is4())}
	value = binary.BigEndian.AppendUint16(value, addr.Port()^magicCookie>>16)
	m.Add(stun.AttrXORPeerAddress, append(value, raw...))
	return nil
}

func peerAt(s string) xorPeer { return xorPeer(netip.MustParseAddrPort(s)) }
