package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"
)

// client speaks TURN as a test wants it, over UDP or a stream.
type client struct {
	conn   net.Conn
	stream bool
	realm  stun.Realm
	nonce  stun.Nonce
	key    stun.MessageIntegrity
	// relayed is the allocation's address.
	relayed netip.AddrPort
	data    [][]byte // ChannelData and indications that came before an answer
}

func dial(t testing.TB, l *Listener) *client {
	t.Helper()
	conn, err := net.Dial(l.LocalAddr().Network(), l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn, l.streams != nil)
}

func newClient(t testing.TB, conn net.Conn, stream bool) *client {
	t.Helper()
	if udp, ok := conn.(*net.UDPConn); ok {
		if err := udp.SetReadBuffer(socketBuffer); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{conn: conn, stream: stream}
}

type attribute struct {
	kind  stun.AttrType
	value []byte
}

func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

func peerAttribute(peer netip.AddrPort) stun.Setter {
	return setter(func(m *stun.Message) error {
		return stun.XORMappedAddress{IP: peer.Addr().AsSlice(), Port: int(peer.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
	})
}

type setter func(m *stun.Message) error

func (s setter) AddTo(m *stun.Message) error { return s(m) }

func channelAttribute(channel uint16) stun.Setter {
	return attribute{stun.AttrChannelNumber, binary.BigEndian.AppendUint32(nil, uint32(channel)<<16)}
}

// message reads one message without its padding.
func (c *client) message() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	buf := make([]byte, maxDatagram+channelHeader)
	if !c.stream {
		n, err := c.conn.Read(buf)
		return bytes.Clone(buf[:n]), err
	}
	if _, err := io.ReadFull(c.conn, buf[:channelHeader]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf[2:])) + channelHeader
	if buf[0]>>6 == 0 {
		n += stunHeader - channelHeader
	}
	_, err := io.ReadFull(c.conn, buf[channelHeader:padded(n)])
	return bytes.Clone(buf[:n]), err
}

// ask sends a request and waits for its answer.
func (c *client) ask(method stun.Method, attributes ...stun.Setter) (*stun.Message, error) {
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)...)
	if err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(m.Raw); err != nil {
		return nil, err
	}
	for {
		p, err := c.message()
		if err != nil {
			return nil, fmt.Errorf("%v: %w", method, err)
		}
		answer := &stun.Message{Raw: p}
		if p[0]>>6 == 0 && answer.Decode() == nil && answer.TransactionID == m.TransactionID {
			return answer, nil
		}
		c.data = append(c.data, p)
	}
}

// do asks with credentials; an answer that is no success is a failure.
func (c *client) do(t testing.TB, method stun.Method, attributes ...stun.Setter) *stun.Message {
	t.Helper()
	answer, err := c.ask(method, append(attributes, stun.NewUsername(testUser), &c.realm, &c.nonce, &c.key, stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Type.Class != stun.ClassSuccessResponse {
		t.Fatalf("%v: %v", method, answer)
	}
	return answer
}

// allocate makes an allocation.
func (c *client) allocate(t testing.TB) *client {
	t.Helper()
	udp := attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}
	answer, err := c.ask(stun.MethodAllocate, udp)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Parse(&c.realm, &c.nonce); err != nil {
		t.Fatal(err)
	}
	c.key = stun.NewLongTermIntegrity(testUser, testRealm, testPass)
	var x stun.XORMappedAddress
	if err := x.GetFromAs(c.do(t, stun.MethodAllocate, udp), stun.AttrXORRelayedAddress); err != nil {
		t.Fatal(err)
	}
	ip, _ := netip.AddrFromSlice(x.IP)
	c.relayed = netip.AddrPortFrom(ip.Unmap(), uint16(x.Port))
	return c
}

func (c *client) bind(t testing.TB, channel uint16, peer netip.AddrPort) {
	t.Helper()
	c.do(t, stun.MethodChannelBind, channelAttribute(channel), peerAttribute(peer))
}

func (c *client) permit(t testing.TB, peer netip.AddrPort) {
	t.Helper()
	c.do(t, stun.MethodCreatePermission, peerAttribute(peer))
}

// refresh sets the lifetime; 0 ends the allocation.
func (c *client) refresh(t testing.TB, lifetime uint32) {
	t.Helper()
	c.do(t, stun.MethodRefresh, attribute{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, lifetime)})
}

func channelMessage(channel uint16, payload []byte) []byte {
	p := make([]byte, channelHeader, channelHeader+len(payload))
	putChannelHeader(p, channel, len(payload))
	return append(p, payload...)
}

// send sends ChannelData.
func (c *client) send(t testing.TB, channel uint16, payload []byte) {
	t.Helper()
	p := channelMessage(channel, payload)
	if c.stream {
		p = append(p, make([]byte, padded(len(p))-len(p))...)
	}
	if _, err := c.conn.Write(p); err != nil {
		t.Fatal(err)
	}
}

// receive waits for ChannelData or an indication.
func (c *client) receive(t testing.TB) []byte {
	t.Helper()
	if len(c.data) > 0 {
		p := c.data[0]
		c.data = c.data[1:]
		return p
	}
	p, err := c.message()
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
	return p
}

// receiveData waits for ChannelData and takes it apart.
func (c *client) receiveData(t testing.TB) (uint16, []byte) {
	t.Helper()
	channel, payload, ok := channelData(c.receive(t))
	if !ok {
		t.Fatal("no ChannelData came")
	}
	return channel, payload
}
