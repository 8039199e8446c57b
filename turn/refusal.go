package turn

import "github.com/pion/stun"

// Refusal is why a request was not granted.
type Refusal uint8

// Causes of a Refusal, each with the answer that the client gets.
const (
	passed              Refusal = iota
	RefusedChallenge            // 401, no credential yet: how every client begins
	RefusedNonce                // 438, a nonce that is too old
	RefusedReplay               // 401, a nonce that was made for another client
	RefusedBad                  // 400, what a request must have is missing or wrong
	RefusedUser                 // 401, a username or realm that is none of ours
	RefusedExpired              // 401, a new allocation with a credential that has expired
	RefusedSecret               // 401, integrity that fits none of the secrets
	RefusedOwner                // 441, an allocation of another credential
	RefusedUnknown              // 420, an attribute that must be understood and is not
	RefusedNoAllocation         // 437, the client has no allocation
	RefusedTransport            // 442, a relay over something else than UDP
	RefusedFamily               // 440, a relay of an address family that is not offered
	RefusedPeerFamily           // 443, a peer of another address family than the relay
	RefusedPeer                 // 403, a peer that may not be relayed to
	RefusedUserQuota            // 486, more than MaxPerUser allocations of a credential
	RefusedAddressQuota         // 486, more than MaxPerAddress allocations of an address
	RefusedCapacity             // 508, more than MaxAllocations, or no port
	RefusedDraining             // 508, an allocation of a gate that is about to end
	Throttled                   // no answer: too many from strangers
	Ignored                     // no answer: no message of TURN, or an indication to nowhere

	// Refusals is the number of causes, to size arrays.
	Refusals
)

// String is a short lower-case name, fit for a metric's label.
func (r Refusal) String() string {
	return [...]string{
		"passed", "challenge", "nonce", "replay", "bad", "user", "expired", "secret", "owner", "unknown-attribute",
		"no-allocation", "transport", "family", "peer-family", "peer", "user-quota", "address-quota", "capacity",
		"draining", "throttled", "ignored", "?",
	}[min(r, Refusals)]
}

// code is the STUN error that a client is told (RFC 8489 14.8, RFC 8656 19).
//
// Draining is 508 and not 300 (Try Alternate): that must name another server of
// the same transport, and a gate knows of none. Coordinators do, and have
// stopped naming this one. The quota by address is 486 like the one by
// credential: it is the client that asks for too much (RFC 8656 7.2).
func (r Refusal) code() stun.ErrorCode {
	switch r {
	case RefusedNonce:
		return stun.CodeStaleNonce
	case RefusedBad:
		return stun.CodeBadRequest
	case RefusedOwner:
		return stun.CodeWrongCredentials
	case RefusedUnknown:
		return stun.CodeUnknownAttribute
	case RefusedNoAllocation:
		return stun.CodeAllocMismatch
	case RefusedTransport:
		return stun.CodeUnsupportedTransProto
	case RefusedFamily:
		return stun.CodeAddrFamilyNotSupported
	case RefusedPeerFamily:
		return stun.CodePeerAddrFamilyMismatch
	case RefusedPeer:
		return stun.CodeForbidden
	case RefusedUserQuota, RefusedAddressQuota:
		return stun.CodeAllocQuotaReached
	case RefusedCapacity, RefusedDraining:
		return stun.CodeInsufficientCapacity
	default:
		return stun.CodeUnauthorized
	}
}

// challenges says whether the answer carries a realm and a fresh nonce, so that
// the client can try (again) with a credential.
func (r Refusal) challenges() bool {
	code := r.code()
	return code == stun.CodeUnauthorized || code == stun.CodeStaleNonce
}
