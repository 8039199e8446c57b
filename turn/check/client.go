package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun"
)

// Retransmission of requests in datagrams (RFC 8489 6.2.1), a little faster:
// somebody waits for the answer.
const (
	firstResend = 250 * time.Millisecond
	lastResend  = time.Second
)

// errSilent is a request that was never answered.
var errSilent = errors.New("no answer")

// refusal is a server's answer that grants nothing.
type refusal struct {
	method    stun.Method
	code      stun.ErrorCode
	reason    string
	alternate netip.AddrPort // of 300
}

func (r refusal) Error() string { return fmt.Sprintf("%s: %d %s", r.method, r.code, r.reason) }

// client makes requests over a link, one after the other.
type client struct {
	link   *link
	buffer [maxFrame]byte

	user, password string
	realm          stun.Realm
	nonce          stun.Nonce
	key            stun.MessageIntegrity // nil as long as no realm is known
}

func newClient(l *link) *client { return &client{link: l} }

// prove makes a request with the credential; a nonce that is too old is
// replaced.
func (c *client) prove(ctx context.Context, kind stun.MessageType, set ...stun.Setter) (*stun.Message, error) {
	for try := 0; ; try++ {
		signed := append([]stun.Setter(nil), set...)
		if c.key != nil {
			signed = append(signed, stun.NewUsername(c.user), &c.realm, &c.nonce, &c.key)
		}
		m, err := c.ask(ctx, kind, signed...)
		var refused refusal
		if errors.As(err, &refused) && refused.code == stun.CodeStaleNonce && try < 2 {
			continue
		}
		return m, err
	}
}

// as takes a credential for the requests that follow.
func (c *client) as(user, password string) {
	c.user, c.password = user, password
	c.key = stun.NewLongTermIntegrity(user, c.realm.String(), password)
}

// ask makes a request and waits for its answer: errSilent if none comes, a
// refusal if it is an error.
func (c *client) ask(ctx context.Context, kind stun.MessageType, set ...stun.Setter) (*stun.Message, error) {
	request, err := stun.Build(append([]stun.Setter{stun.TransactionID, kind}, set...)...)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	for wait := firstResend; ; wait = min(2*wait, lastResend) {
		if remaining(ctx) <= 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", kind.Method, errSilent)
		}
		if c.link.stream != nil {
			wait = remaining(ctx) // TCP repeats what is lost
		}
		if err := c.link.send(request.Raw); err != nil {
			return nil, fmt.Errorf("send request: %w", err)
		}
		answer, err := c.await(request, time.Now().Add(min(wait, remaining(ctx))))
		if isTimeout(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		return answer, c.judge(answer)
	}
}

// await reads until the answer to a request is there.
func (c *client) await(request *stun.Message, until time.Time) (*stun.Message, error) {
	if err := c.link.SetReadDeadline(until); err != nil {
		return nil, err
	}
	for {
		n, err := c.link.receive(c.buffer[:])
		if err != nil {
			return nil, err
		}
		answer := &stun.Message{Raw: append([]byte(nil), c.buffer[:n]...)}
		if stun.IsMessage(answer.Raw) && answer.Decode() == nil && answer.TransactionID == request.TransactionID &&
			answer.Type.Class != stun.ClassRequest {
			return answer, nil
		}
	}
}

// isTimeout says whether a deadline passed: pion/dtls has an error of its own for
// that.
func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// judge answers a refusal for an error, and keeps the realm and nonce that come
// with it.
func (c *client) judge(answer *stun.Message) error {
	if answer.Type.Class != stun.ClassErrorResponse {
		return nil
	}
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(answer); err != nil {
		return fmt.Errorf("read error: %w", err)
	}
	refused := refusal{method: answer.Type.Method, code: code.Code, reason: string(code.Reason)}
	var alternate stun.AlternateServer
	if alternate.GetFrom(answer) == nil {
		ip, _ := netip.AddrFromSlice(alternate.IP)
		refused.alternate = netip.AddrPortFrom(ip.Unmap(), uint16(alternate.Port))
	}
	if code.Code == stun.CodeUnauthorized || code.Code == stun.CodeStaleNonce {
		_ = c.nonce.GetFrom(answer) // one that is missing is noticed by the next request
		_ = c.realm.GetFrom(answer)
	}
	return refused
}

// attribute is one that package stun has no type for.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

// AddTo implements stun.Setter.
func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

// Numbers in attributes (RFC 8656 18, RFC 8489 14.1).
const (
	protocolUDP = 17
	familyIPv6  = 2
)

func requestedUDP() attribute {
	return attribute{stun.AttrRequestedTransport, []byte{protocolUDP, 0, 0, 0}}
}

// peerAddress is XOR-PEER-ADDRESS.
type peerAddress struct{ netip.AddrPort }

// AddTo implements stun.Setter.
func (p peerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress{IP: p.Addr().AsSlice(), Port: int(p.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

func toAddrPort(a stun.XORMappedAddress) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
}
