package turn

import (
	"net/netip"
	"time"

	"github.com/pion/stun"
)

// exchange is a request while it is checked and, if it passes, handled by
// pion/turn.
type exchange struct {
	client  netip.AddrPort
	msg     *stun.Message // cut to what its integrity protects, once that is checked
	who     account
	key     []byte      // nil as long as the client has not proved itself
	held    *allocation // the client's, nil if it has none
	wish    wish        // of an Allocate request that passed
	unknown stun.UnknownAttributes
	reason  string // why a peer is refused
}

// examine says whether pion/turn is to be given a request, and why not.
func (d *door) examine(x *exchange, now time.Time) Refusal {
	x.held = d.allocation(x.client)
	if why := d.authenticate(x, now); why != passed {
		return why
	}
	protected(x.msg)
	method := x.msg.Type.Method
	x.unknown = unknown(x.msg)
	switch {
	case len(x.unknown) > 0:
		return RefusedUnknown
	case method == stun.MethodAllocate:
		return d.examineAllocate(x)
	case x.held == nil:
		return RefusedNoAllocation
	case x.held.who != x.who:
		return RefusedOwner
	case method == stun.MethodRefresh:
		return examineRefresh(x)
	}
	return d.examinePeers(x, now)
}

// authenticate checks a request by the long-term credential mechanism (RFC 8489
// 9.2.4). A credential that opened an allocation serves it for as long as it
// lives, even if it expires or its secret is taken out meanwhile, so that no
// game is cut; it opens no other.
func (d *door) authenticate(x *exchange, now time.Time) Refusal {
	integrity, ok := x.msg.Attributes.Get(stun.AttrMessageIntegrity)
	if !ok {
		return RefusedChallenge
	}
	username, hasName := x.msg.Attributes.Get(stun.AttrUsername)
	realm, hasRealm := x.msg.Attributes.Get(stun.AttrRealm)
	nonce, hasNonce := x.msg.Attributes.Get(stun.AttrNonce)
	if !hasName || !hasRealm || !hasNonce || len(integrity.Value) != integritySize {
		return RefusedBad
	}
	switch d.gate.nonces.check(nonce.Value, x.client, now) {
	case nonceStale:
		return RefusedNonce
	case nonceForeign:
		return RefusedReplay
	}
	name := string(username.Value)
	if x.held != nil && x.held.who.name == name && stun.MessageIntegrity(x.held.key).Check(x.msg) == nil {
		x.who, x.key = x.held.who, x.held.key // whatever the realm is by now
		return passed
	}
	if string(realm.Value) != d.gate.keyring.realm() {
		return RefusedUser
	}
	key, who, why := d.gate.keyring.verify(x.msg, name, now)
	if why != passed {
		return why
	}
	x.who, x.key = who, key
	return passed
}

// examineAllocate checks a request for a relay. If the client has one, pion
// repeats its answer to a retransmission, and refuses what is none.
func (d *door) examineAllocate(x *exchange) Refusal {
	if x.held != nil {
		return passed
	}
	var why Refusal
	if x.wish, why = wishOf(x.msg); why != passed {
		return why
	}
	if d.gate.draining.Load() {
		return RefusedDraining
	}
	if _, err := d.announced(x.client, x.wish.six); err != nil {
		d.gate.log.Debug("relay refused", "client", x.client, "ipv6", x.wish.six, "cause", err)
		return RefusedFamily
	}
	return d.gate.quota.refuses(x.who, x.client.Addr())
}

// examineRefresh checks the address family, where one is named (RFC 8656 7.4).
func examineRefresh(x *exchange) Refusal {
	family, ok := x.msg.Attributes.Get(stun.AttrRequestedAddressFamily)
	if !ok {
		return passed
	}
	if len(family.Value) != 4 {
		return RefusedBad
	}
	if family.Value[0] != familyOf(x.held.six) {
		return RefusedPeerFamily
	}
	return passed
}

// familyOf is the number of an address family.
func familyOf(six bool) byte {
	if six {
		return familyIPv6
	}
	return familyIPv4
}

// examinePeers checks CreatePermission and ChannelBind. RFC 8656 9.2 has a
// server ignore the port of a permission; here one that is given and closed is
// refused at once, for no packet would ever pass.
func (d *door) examinePeers(x *exchange, now time.Time) Refusal {
	peers, ok := peerAddresses(x.msg)
	if !ok {
		return RefusedBad
	}
	life := permissionLife
	if x.msg.Type.Method == stun.MethodChannelBind {
		life = channelLife
		if !channelOf(x.msg) || len(peers) > 1 || peers[0].Port() == 0 {
			return RefusedBad
		}
	}
	for _, peer := range peers {
		if peer.Addr().Is6() != x.held.six {
			return RefusedPeerFamily
		}
		if x.reason = d.refusesPeer(x.client, peer, now); x.reason != "" {
			return RefusedPeer
		}
	}
	for _, peer := range peers {
		if peer.Port() != 0 {
			d.gate.admission.hold(x.client, peer, now, life)
		}
	}
	return passed
}

// refusesPeer says why a client may not bind a peer, "" if it may. Port 0 stands
// for any.
func (d *door) refusesPeer(client, peer netip.AddrPort, now time.Time) string {
	a := d.gate.admission
	if peer.Port() == 0 {
		return a.refusesIP(client, peer.Addr())
	}
	why := a.refuses(client, peer)
	if why != "" && a.holds(client, peer, now) {
		return ""
	}
	return why
}

// channelOf says whether a request names a channel number that may be bound.
func channelOf(m *stun.Message) bool {
	a, ok := m.Attributes.Get(stun.AttrChannelNumber)
	if !ok || len(a.Value) != 4 {
		return false
	}
	n := int(a.Value[0])<<8 | int(a.Value[1])
	return n >= minChannel && n <= maxChannel
}

// answer builds what a client is told that is refused. Only after its proof is
// the answer signed (RFC 8489 9.2.4).
func (d *door) answer(x *exchange, why Refusal, now time.Time) (*stun.Message, error) {
	code := stun.ErrorCodeAttribute{Code: why.code(), Reason: []byte(reason(why, x.reason))}
	set := []stun.Setter{
		stun.NewType(x.msg.Type.Method, stun.ClassErrorResponse),
		stun.NewTransactionIDSetter(x.msg.TransactionID), code,
	}
	if why.challenges() {
		set = append(set, stun.NewNonce(d.gate.nonces.mint(x.client, now)), stun.NewRealm(d.gate.keyring.realm()))
	}
	if why == RefusedUnknown {
		set = append(set, x.unknown)
	}
	if x.key != nil {
		set = append(set, stun.MessageIntegrity(x.key))
	}
	return stun.Build(set...)
}

// reason is the text beside a code, in the words of RFC 8489 and RFC 8656.
func reason(why Refusal, peer string) string {
	switch why {
	case RefusedPeer:
		return "Forbidden: " + peer
	case RefusedDraining:
		return "Insufficient Capacity: draining"
	}
	return map[stun.ErrorCode]string{
		stun.CodeBadRequest: "Bad Request", stun.CodeUnauthorized: "Unauthorized",
		stun.CodeUnknownAttribute: "Unknown Attribute", stun.CodeStaleNonce: "Stale Nonce",
		stun.CodeAllocMismatch: "Allocation Mismatch", stun.CodeWrongCredentials: "Wrong Credentials",
		stun.CodeUnsupportedTransProto:  "Unsupported Transport Protocol",
		stun.CodeAddrFamilyNotSupported: "Address Family not Supported",
		stun.CodePeerAddrFamilyMismatch: "Peer Address Family Mismatch",
		stun.CodeAllocQuotaReached:      "Allocation Quota Reached", stun.CodeInsufficientCapacity: "Insufficient Capacity",
	}[why.code()]
}
