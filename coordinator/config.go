package coordinator

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/identity"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin"
)

// Config is what a Coordinator needs. It is copied by New and may be reused.
type Config struct {
	// Address to listen on, host:port; port 0 takes a free one (see Addr).
	Address string
	// TLS has HTTPS served at Address; the zero value is plain HTTP.
	TLS TLS
	// Local has workers and gates of this process served at a port of 127.0.0.1
	// too, by plain HTTP (see LocalAddr): the certificates are for the names that
	// browsers come by.
	Local bool
	// Web holds the page: index.html and what it loads. Required.
	Web fs.FS
	// Secret is shared with the workers. Required.
	Secret string
	// Tokens checks those of workers that have a service account of Kubernetes in
	// place of Secret; nil means that none is taken.
	Tokens tokens
	// TURNSecrets are shared with the gates: credentials are minted with the
	// first, a gate may prove itself with any. None means one derived from
	// Secret (see credential.Derive and credential.LabelTURN). See also
	// Coordinator.Reconfigure.
	TURNSecrets []string
	// Relays, if it is not nil, says where browsers find the gates. While it knows
	// of any, that is told to them in place of what the gates that are connected
	// announce.
	Relays relaySource
	// ICEServers are told to browsers besides the gates.
	ICEServers []signal.ICEServer
	// CredentialTTL is the life of a TURN credential; 0 means 5 minutes. It
	// bounds when an allocation may be made, not how long it lives.
	CredentialTTL time.Duration
	// Origins are other origins (scheme://host[:port]) whose pages may open the
	// browser's WebSocket; the host of the request itself always may. "*" allows all.
	Origins []string
	// Alternates are other addresses of this site, like "https://b.example.org",
	// which pages turn to when this one does not answer; at most signal.MaxURLs.
	Alternates []string
	// SessionSecret signs session tokens and cookies; all coordinators of a site
	// have the same. "" means Secret.
	SessionSecret string
	// SignIn says who may come in. Its Secret, if it has none, is SessionSecret;
	// Address, Refused and Logger are set by New.
	SignIn signin.Config
	// TrustedProxies are networks and addresses whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. nil means private networks and this machine,
	// an empty list nobody.
	TrustedProxies []string
	// Limits bound what strangers may ask for; of zero values the default counts.
	Limits Limits
	// DrainGrace is how long Run goes on as before when it is told to end: load
	// balancers learn late that nobody should be sent here any more.
	DrainGrace time.Duration
	// Starting says that workers start when this coordinator does, as in a cluster:
	// who comes before the first of them waits in line, for a minute at most.
	Starting bool
	// AccessLog has every request logged, without what must stay secret.
	AccessLog bool
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// tokens says whose a token is. It may be called concurrently.
type tokens interface {
	// Verify answers identity.ErrUnknown if it cannot tell just now; every other
	// error refuses the token.
	Verify(ctx context.Context, token string) (identity.Identity, error)
}

var _ tokens = (*identity.Verifier)(nil)

const defaultCredentialTTL = 5 * time.Minute

// Limits bound what strangers may ask of a coordinator.
type Limits struct {
	Pages             int // sockets of pages; 0 means 50,000
	PagesPerAddress   int // of them from one address; 0 means 256
	Roles             int // sockets of workers and gates; 0 means 5,000
	StartsPerMinute   int // games that one address may start in a minute; 0 means 30
	RequestsPerMinute int // requests of one address to the API in a minute; 0 means 600
}

// complete puts defaults in the place of zeros and refuses what is negative.
func (l *Limits) complete() error {
	for _, f := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"pages", &l.Pages, 50_000},
		{"pagesPerAddress", &l.PagesPerAddress, 256},
		{"roles", &l.Roles, 5_000},
		{"startsPerMinute", &l.StartsPerMinute, 30},
		{"requestsPerMinute", &l.RequestsPerMinute, 600},
	} {
		if *f.value < 0 {
			return fmt.Errorf("the limit of %s is %d; it cannot be negative", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	return nil
}
