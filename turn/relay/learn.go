package relay

import (
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun"
)

// Message types that bindings and permissions are learnt from.
const (
	typeCreatePermissionSuccess = 0x0108
	typeChannelBindSuccess      = 0x0109
	successClass                = 0x0100 // set in a success, not in its request
)

// maxBindings bounds the channels of an allocation that are carried here. A
// browser binds one for each candidate of its peer. Data from further peers is
// left to pion/turn; data to them is dropped.
const maxBindings = 64

// request is the control message that pion/turn handles at the moment.
type request struct {
	from   endpoint
	stream *stream
	packet []byte
}

// Request is the control message that pion/turn handles at the moment.
type Request struct {
	// Client is its sender, unmapped and without a zone. For streams it is the
	// remote end of the connection.
	Client netip.AddrPort
	// Packet is the whole message. It is valid until the next ReadFrom, and must
	// not be changed.
	Packet []byte
}

// Request is what ReadFrom returned last. It may only be called by the
// goroutine that calls ReadFrom, that is from pion's handlers.
func (l *Listener) Request() Request {
	return Request{Client: l.current.from.addrPort(), Packet: l.current.packet}
}

// learn looks at a message that pion/turn sends. If that is the success of a
// ChannelBind or CreatePermission, the request is at hand: pion/turn answers
// before it reads on. Nothing else, such as indications which other goroutines
// send, touches the request.
func (l *Listener) learn(answer []byte) {
	if len(answer) < stunHeader {
		return
	}
	kind := binary.BigEndian.Uint16(answer)
	if kind != typeChannelBindSuccess && kind != typeCreatePermissionSuccess {
		return
	}
	p := l.current.packet
	if len(p) < stunHeader || binary.BigEndian.Uint16(p)|successClass != kind || string(p[4:stunHeader]) != string(answer[4:stunHeader]) {
		return
	}
	l.mu.Lock()
	a := l.allocations[l.current.from]
	l.mu.Unlock()
	if a == nil {
		return
	}
	if kind == typeCreatePermissionSuccess {
		for _, peer := range peersOf(p) {
			a.permit(peer)
		}
	} else if channel, peer, ok := bindingOf(p); ok {
		a.bind(channel, peer)
	}
}

// protected is a request without what follows its MESSAGE-INTEGRITY, which
// anybody on the way may have added (RFC 8489 14.5), or nil.
func protected(packet []byte) *stun.Message {
	m := &stun.Message{Raw: packet}
	if m.Decode() != nil {
		return nil
	}
	for i, a := range m.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			m.Attributes = m.Attributes[:i]
			break
		}
	}
	return m
}

// bindingOf reads a ChannelBind request with the same functions as pion/turn,
// so that both understand the same.
func bindingOf(packet []byte) (channel uint16, peer endpoint, ok bool) {
	m := protected(packet)
	if m == nil {
		return 0, peer, false
	}
	number, err := m.Get(stun.AttrChannelNumber)
	if err != nil || len(number) != 4 {
		return 0, peer, false
	}
	channel = binary.BigEndian.Uint16(number)
	if channel>>14 != 1 {
		return 0, peer, false
	}
	peer, ok = peerOf(m)
	return channel, peer, ok
}

// peersOf reads a CreatePermission request.
func peersOf(packet []byte) (peers []endpoint) {
	m := protected(packet)
	if m == nil {
		return nil
	}
	_ = m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error { // pion/turn reads on as well
		if peer, ok := peerOf(m); ok {
			peers = append(peers, peer)
		}
		return nil
	})
	return peers
}

// peerOf is the first peer address of m.
func peerOf(m *stun.Message) (endpoint, bool) {
	var x stun.XORMappedAddress
	if x.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		return endpoint{}, false
	}
	ip, ok := netip.AddrFromSlice(x.IP)
	if !ok || x.Port < 1 || x.Port > 65535 {
		return endpoint{}, false
	}
	return endpointOf(netip.AddrPortFrom(ip, uint16(x.Port))), true
}
