package turn

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/stun"
)

// Attributes that pion/stun v0.6 has no name for (RFC 8656 18).
const (
	attrAdditionalFamily stun.AttrType = 0x8000
	attrAddressError     stun.AttrType = 0x8001
)

// Values of REQUESTED-ADDRESS-FAMILY (RFC 8656 18.6) and of the family in a
// transport address (RFC 8489 14.1).
const (
	familyIPv4 = 1
	familyIPv6 = 2
)

// Lifetimes of an allocation (RFC 8656 7.2). pion/turn takes what is an hour or
// more for no wish at all, so the longest is just below.
const (
	defaultLifetime = 10 * time.Minute
	maxLifetime     = time.Hour - time.Second
)

const (
	protocolUDP   = 17
	minChannel    = 0x4000
	maxChannel    = 0x7fff // RFC 5766 11; RFC 8656 12 ends at 0x4fff, older clients and coturn do not
	headerSize    = 20
	integritySize = 20
	magicCookie   = 0x2112a442
)

// wellFormed says whether a datagram or frame is one STUN message by its header
// (RFC 8489 5). pion/stun does not look at the first two bits and lets
// something follow the message.
func wellFormed(p []byte) bool {
	return stun.IsMessage(p) && p[0]&0xc0 == 0 && len(p) == headerSize+int(binary.BigEndian.Uint16(p[2:]))
}

// protected cuts off what follows MESSAGE-INTEGRITY: it is not protected and
// must be ignored (RFC 8489 14.5). The cut message has no integrity itself.
func protected(m *stun.Message) {
	for i, a := range m.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			m.Attributes = m.Attributes[:i]
			return
		}
	}
}

// peerAddresses are the XOR-PEER-ADDRESS attributes of a message, in the form
// that the client chose: an IPv4-mapped IPv6 address stays one. ok is false if
// there is none, or one of them is malformed.
func peerAddresses(m *stun.Message) (list []netip.AddrPort, ok bool) {
	for _, a := range m.Attributes {
		if a.Type != stun.AttrXORPeerAddress {
			continue
		}
		peer, ok := xorAddress(a.Value, m.TransactionID)
		if !ok {
			return nil, false
		}
		list = append(list, peer)
	}
	return list, len(list) > 0
}

// xorAddress reads the value of a XOR-...-ADDRESS attribute (RFC 8489 14.2).
func xorAddress(value []byte, id [stun.TransactionIDSize]byte) (netip.AddrPort, bool) {
	if len(value) < 4 {
		return netip.AddrPort{}, false
	}
	var mask [16]byte
	binary.BigEndian.PutUint32(mask[:], magicCookie)
	copy(mask[4:], id[:])
	port := binary.BigEndian.Uint16(value[2:]) ^ magicCookie>>16
	raw := value[4:]
	switch {
	case value[1] == familyIPv4 && len(raw) == 4:
	case value[1] == familyIPv6 && len(raw) == 16:
	default:
		return netip.AddrPort{}, false
	}
	for i := range raw {
		mask[i] ^= raw[i]
	}
	addr, ok := netip.AddrFromSlice(mask[:len(raw)])
	return netip.AddrPortFrom(addr, port), ok
}

// wish is what an Allocate request asks for.
type wish struct {
	six  bool // an IPv6 relay
	even bool // an even port
	dual bool // an IPv6 relay beside the IPv4 one
}

// wishOf reads the attributes of an Allocate request (RFC 8656 7.2, in its order).
func wishOf(m *stun.Message) (wish, Refusal) {
	var w wish
	transport, ok := m.Attributes.Get(stun.AttrRequestedTransport)
	switch {
	case !ok || len(transport.Value) != 4:
		return w, RefusedBad
	case transport.Value[0] != protocolUDP:
		return w, RefusedTransport
	}
	family, hasFamily := m.Attributes.Get(stun.AttrRequestedAddressFamily)
	if hasFamily {
		switch {
		case len(family.Value) != 4:
			return w, RefusedBad
		case family.Value[0] != familyIPv4 && family.Value[0] != familyIPv6:
			return w, RefusedFamily
		}
		w.six = family.Value[0] == familyIPv6
	}
	even, hasEven := m.Attributes.Get(stun.AttrEvenPort)
	additional, hasAdditional := m.Attributes.Get(attrAdditionalFamily)
	switch {
	case hasAdditional && (hasFamily || hasEven || len(additional.Value) != 4 || additional.Value[0] != familyIPv6):
		return w, RefusedBad
	case m.Contains(stun.AttrReservationToken) && (hasEven || hasFamily):
		return w, RefusedBad
	case m.Contains(stun.AttrReservationToken), hasEven && len(even.Value) > 0 && even.Value[0]&0x80 != 0:
		return w, RefusedCapacity // no port is ever reserved
	}
	w.even, w.dual = hasEven, hasAdditional
	return w, passed
}

// lifetimeOf is the lifetime that a request is granted.
func lifetimeOf(m *stun.Message) time.Duration {
	a, ok := m.Attributes.Get(stun.AttrLifetime)
	if !ok || len(a.Value) != 4 {
		return defaultLifetime
	}
	asked := time.Duration(binary.BigEndian.Uint32(a.Value)) * time.Second
	if asked == 0 && m.Type.Method == stun.MethodRefresh {
		return 0
	}
	return min(max(asked, defaultLifetime), maxLifetime)
}

// unknown are the attributes of a request that must be understood and are not.
// DONT-FRAGMENT is one of them, as RFC 8656 14 lets a server.
func unknown(m *stun.Message) stun.UnknownAttributes {
	var list stun.UnknownAttributes
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrUsername, stun.AttrRealm, stun.AttrNonce, stun.AttrMessageIntegrity,
			stun.AttrChannelNumber, stun.AttrLifetime, stun.AttrXORPeerAddress, stun.AttrData,
			stun.AttrEvenPort, stun.AttrRequestedTransport, stun.AttrReservationToken, stun.AttrRequestedAddressFamily:
		default:
			if a.Type.Required() && len(list) < maxUnknown {
				list = append(list, a.Type)
			}
		}
	}
	return list
}

// maxUnknown bounds the list that is answered.
const maxUnknown = 8

// forPion makes of a request that was checked the one that pion/turn is given:
// only what pion is to look at, with its own nonce and the client's key, by
// which pion signs its answer.
func forPion(m *stun.Message, username, realm, nonce string, key []byte) (*stun.Message, error) {
	out := &stun.Message{TransactionID: m.TransactionID, Type: m.Type}
	out.WriteHeader()
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrChannelNumber, stun.AttrXORPeerAddress, stun.AttrRequestedTransport:
			out.Add(a.Type, a.Value)
		}
	}
	if m.Type.Method == stun.MethodAllocate || m.Type.Method == stun.MethodRefresh {
		out.Add(stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, uint32(lifetimeOf(m)/time.Second)))
	}
	for _, set := range []stun.Setter{stun.NewUsername(username), stun.NewRealm(realm), stun.NewNonce(nonce), stun.MessageIntegrity(key)} {
		if err := set.AddTo(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}
