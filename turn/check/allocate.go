package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/credential"
)

const (
	session = "check"         // in minted usernames
	life    = 5 * time.Minute // of a minted credential
	ahead   = 24 * time.Hour  // of one that serves to find clocks that differ
)

// allocate asks for a relay, first as nobody, then with the credential.
func (r *run) allocate(ctx context.Context) (string, error) {
	err := r.request(ctx)
	var refused refusal
	switch {
	case err == nil:
		return fmt.Sprintf("relays at %s, and asks nobody for a credential: close it, anybody can use it", r.relay), nil
	case !errors.As(err, &refused) || refused.code != stun.CodeUnauthorized:
		return "", r.notAllocated(err)
	case r.cfg.User == "" && r.cfg.Secret == "":
		return "", remark{
			cause:  fmt.Sprintf("the server asks for a credential (realm %q), as it should", r.client.realm),
			remedy: "give --secret, or --user and --password, to go on",
		}
	case r.cfg.User != "":
		r.client.as(r.cfg.User, r.cfg.Password)
	default:
		if err := r.mint(life); err != nil {
			return "", err
		}
	}
	if err := r.request(ctx); err != nil {
		if errors.As(err, &refused) && refused.code == stun.CodeUnauthorized {
			return "", r.unauthorized(ctx, refused)
		}
		return "", r.notAllocated(err)
	}
	return fmt.Sprintf("relays at %s (realm %q)", r.relay, r.client.realm), nil
}

// mint makes a credential with the secret.
func (r *run) mint(ttl time.Duration) error {
	user, password, err := credential.Mint(r.cfg.Secret, session, ttl, time.Now())
	if err != nil {
		return err
	}
	r.client.as(user, password)
	return nil
}

// request asks for a relay of the family of the peer.
func (r *run) request(ctx context.Context) error {
	set := []stun.Setter{requestedUDP()}
	if r.cfg.Worker.Addr().Is6() {
		set = append(set, attribute{stun.AttrRequestedAddressFamily, []byte{familyIPv6, 0, 0, 0}})
	}
	answer, err := r.client.prove(ctx, stun.NewType(stun.MethodAllocate, stun.ClassRequest), set...)
	if err != nil {
		return err
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		return fmt.Errorf("the answer has no relayed address: %w", err)
	}
	r.relay = toAddrPort(relayed)
	return nil
}

// free ends the allocation.
func (c *client) free(ctx context.Context) error {
	_, err := c.prove(ctx, stun.NewType(stun.MethodRefresh, stun.ClassRequest), attribute{stun.AttrLifetime, []byte{0, 0, 0, 0}})
	return err
}

// unauthorized finds out what of a credential is wrong: servers tell nobody, but
// one whose clock is ahead takes a credential that lasts for longer.
func (r *run) unauthorized(ctx context.Context, refused refusal) error {
	if r.cfg.User != "" {
		return fault{
			code:   int(refused.code),
			cause:  fmt.Sprintf("401: the server does not take user %q with this password", r.cfg.User),
			remedy: "compare them with turn.users; capitals count",
		}
	}
	if err := r.mint(ahead); err == nil && r.request(ctx) == nil {
		return fault{
			code:   int(refused.code),
			cause:  fmt.Sprintf("401: clocks differ: the server's is more than %s ahead of this machine's, for it takes a credential that lasts a day", life),
			remedy: "set both clocks (timedatectl set-ntp true)",
		}
	}
	return fault{
		code:   int(refused.code),
		cause:  "401: the server does not know this secret",
		remedy: "give one of secrets.turn of the gate; where that is empty, leave --secret out and name the gate's configuration (--config, CLOUDRETRO_SECRETS_WORKER): the secret is derived from secrets.worker",
	}
}

// notAllocated puts why there is no relay into words.
func (r *run) notAllocated(err error) error {
	var refused refusal
	if errors.As(err, &refused) {
		return refused.fault("no relay")
	}
	return fault{cause: "no relay: " + err.Error(), remedy: "try again; if STUN is answered and this is not, packets are lost on the way"}
}

// fault puts a server's answer into words.
func (r refusal) fault(what string) fault {
	f := fault{code: int(r.code), cause: fmt.Sprintf("%s: the server answers %d %s", what, r.code, r.reason)}
	switch r.code {
	case stun.CodeTryAlternate:
		f.remedy = fmt.Sprintf("the server sends its clients on: check %s", r.alternate)
	case stun.CodeBadRequest:
		f.remedy = "the server does not understand this client; is it a TURN server (RFC 8656)?"
	case stun.CodeForbidden:
		f.remedy = "the server's rules keep this machine out; ask who runs it"
	case stun.CodeAllocMismatch:
		f.remedy = "the server mixes this client up with one before it; try again"
	case stun.CodeAddrFamilyNotSupported:
		f.remedy = "the server has no address of that family to relay from: set turn.relayAddress, or give a worker of the other family"
	case stun.CodePeerAddrFamilyMismatch:
		f.remedy = "the peer is of another address family than the relay"
	case stun.CodeUnsupportedTransProto:
		f.remedy = "the server does not relay UDP"
	case stun.CodeAllocQuotaReached:
		f.remedy = "too many relays of this user or address: wait, or raise turn.maxPerUser or turn.maxPerAddress"
	case stun.CodeInsufficientCapacity:
		f.remedy = "the server is full, or ends (then its reason says draining): look at its log, turn.maxAllocations and the ports that are free"
	case stun.CodeUnauthorized, stun.CodeWrongCredentials, stun.CodeStaleNonce:
		f.remedy = "the server forgot who asks; try again"
	}
	return f
}
