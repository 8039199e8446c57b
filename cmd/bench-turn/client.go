//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun"
)

const (
	channel      = 0x4000
	channelFrame = 4 // bytes before the data
	tries        = 6
	patience     = 500 * time.Millisecond // for an answer
	socketBuffer = 8 << 20                // bytes
)

// allocation is one client, its relay and its peer. Each has its own socket.
type allocation struct {
	server *server
	client *net.UDPConn // connected to the server
	peer   *net.UDPConn // connected to the relay
	relay  netip.AddrPort

	realm stun.Realm
	nonce stun.Nonce
	key   stun.MessageIntegrity
}

func dial(s *server) (*allocation, error) {
	to, err := net.ResolveUDPAddr("udp4", s.addr)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", s.addr, err)
	}
	c, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", s.addr, err)
	}
	return &allocation{server: s, client: c}, nil
}

// open allocates, and binds the channel to a new peer on loopback.
func open(s *server) (*allocation, error) {
	a, err := dial(s)
	if err != nil {
		return nil, err
	}
	err = a.allocate()
	if err == nil {
		err = a.bind()
	}
	if err == nil {
		err = errors.Join(enlarge(a.client), enlarge(a.peer))
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return a, nil
}

func (a *allocation) allocate() error {
	kind := stun.NewType(stun.MethodAllocate, stun.ClassRequest)
	udp := attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}
	challenge, err := a.ask(stun.TransactionID, kind, udp)
	if err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	if err := errors.Join(a.realm.GetFrom(challenge), a.nonce.GetFrom(challenge)); err != nil {
		return fmt.Errorf("read challenge: %w", err)
	}
	a.key = stun.NewLongTermIntegrity(a.server.user, a.realm.String(), a.server.pass)
	answer, err := a.prove(kind, udp)
	if err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		return fmt.Errorf("read relayed address: %w", err)
	}
	ip, _ := netip.AddrFromSlice(relayed.IP)
	a.relay = netip.AddrPortFrom(ip.Unmap(), uint16(relayed.Port))
	return nil
}

func (a *allocation) bind() error {
	var err error
	if a.peer, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.relay)); err != nil {
		return fmt.Errorf("open peer: %w", err)
	}
	to := peerAddress{a.peer.LocalAddr().(*net.UDPAddr)}
	number := attribute{stun.AttrChannelNumber, []byte{channel >> 8, channel & 0xff, 0, 0}}
	if _, err := a.prove(stun.NewType(stun.MethodChannelBind, stun.ClassRequest), number, to); err != nil {
		return fmt.Errorf("bind channel: %w", err)
	}
	return nil
}

// close frees the allocation at the server as well.
func (a *allocation) close() {
	if a.relay.IsValid() {
		_, _ = a.prove(stun.NewType(stun.MethodRefresh, stun.ClassRequest), attribute{stun.AttrLifetime, []byte{0, 0, 0, 0}})
	}
	_ = a.client.Close()
	if a.peer != nil {
		_ = a.peer.Close()
	}
}

// prove asks with the credential, again if the nonce was too old.
func (a *allocation) prove(setters ...stun.Setter) (*stun.Message, error) {
	for range tries {
		m, err := a.ask(append(append([]stun.Setter{stun.TransactionID}, setters...),
			stun.NewUsername(a.server.user), &a.realm, &a.nonce, &a.key, stun.Fingerprint)...)
		if err != nil || m.Type.Class != stun.ClassErrorResponse {
			return m, err
		}
		var code stun.ErrorCodeAttribute
		_ = code.GetFrom(m)
		if code.Code != stun.CodeStaleNonce {
			return nil, fmt.Errorf("the server answers %s", code)
		}
		_ = a.nonce.GetFrom(m)
	}
	return nil, errors.New("the server takes no nonce of its own")
}

// ask sends a request until it is answered.
func (a *allocation) ask(setters ...stun.Setter) (*stun.Message, error) {
	request, err := stun.Build(setters...)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	buffer := make([]byte, 2048)
	for range tries {
		if _, err := a.client.Write(request.Raw); err != nil {
			return nil, fmt.Errorf("send request: %w", err)
		}
		if err := a.client.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return nil, fmt.Errorf("set deadline: %w", err)
		}
		for {
			n, err := a.client.Read(buffer)
			if err != nil {
				break
			}
			answer := &stun.Message{Raw: append([]byte(nil), buffer[:n]...)}
			if answer.Decode() == nil && answer.TransactionID == request.TransactionID {
				return answer, a.client.SetReadDeadline(time.Time{})
			}
		}
	}
	return nil, fmt.Errorf("no answer to %s within %s", request.Type, tries*patience)
}

// attribute is an attribute that package stun has no type for.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

// AddTo implements stun.Setter.
func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

type peerAddress struct{ *net.UDPAddr }

// AddTo implements stun.Setter.
func (p peerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress{IP: p.IP, Port: p.Port}.AddToAs(m, stun.AttrXORPeerAddress)
}
