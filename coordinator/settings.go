package coordinator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// settings are what of a Config may change while a coordinator runs: a snapshot
// that nobody writes to.
type settings struct {
	turnSecrets   []string // the one to mint with first
	credentialTTL time.Duration
	iceServers    []signal.ICEServer
	alternates    []string
	origins       origins
	proxies       proxies
	limits        Limits
	accessLog     bool
	drainGrace    time.Duration
}

// settings are those of cfg, whose defaults are filled in. The error says what
// cannot work.
func (cfg Config) settings() (*settings, error) {
	s := &settings{
		turnSecrets: slices.Clone(cfg.TURNSecrets), credentialTTL: cfg.CredentialTTL, iceServers: slices.Clone(cfg.ICEServers),
		alternates: slices.Clone(cfg.Alternates), limits: cfg.Limits, accessLog: cfg.AccessLog, drainGrace: cfg.DrainGrace,
	}
	if len(s.turnSecrets) == 0 {
		s.turnSecrets = []string{credential.Derive(cfg.Secret, credential.LabelTURN)}
	}
	if s.credentialTTL == 0 {
		s.credentialTTL = defaultCredentialTTL
	}
	switch {
	case slices.Contains(s.turnSecrets, ""):
		return nil, errors.New("a secret shared with the gates is empty; set secrets.turn or secrets.worker")
	case s.credentialTTL < time.Minute:
		return nil, fmt.Errorf("a TURN credential's life of %s is under a minute", s.credentialTTL)
	case len(s.alternates) > signal.MaxURLs:
		return nil, fmt.Errorf("more than %d alternates", signal.MaxURLs)
	}
	for _, one := range s.iceServers {
		if err := one.Validate(); err != nil {
			return nil, fmt.Errorf("webrtc.iceServers: %w", err)
		}
	}
	if err := s.limits.complete(); err != nil {
		return nil, err
	}
	var err error
	if s.origins, err = newOrigins(cfg.Origins, s.alternates...); err != nil {
		return nil, err
	}
	if s.proxies, err = newProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	return s, nil
}

// Reconfigure takes what of next may change while the coordinator runs:
// TURNSecrets, ICEServers, CredentialTTL, Origins, Alternates, TrustedProxies,
// Limits, AccessLog and DrainGrace; the rest is not looked at. Who is connected
// stays, be they more than the new limits. With an error nothing has changed. It
// may be called at any time.
func (c *Coordinator) Reconfigure(next Config) error {
	next.Secret = c.cfg.Secret
	s, err := next.settings()
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	c.current.Store(s)
	return nil
}

// now are the settings in force.
func (c *Coordinator) now() *settings { return c.current.Load() }

// allows is CheckOrigin of a browser's socket.
func (c *Coordinator) allows(r *http.Request) bool { return c.now().origins.allow(r) }

// believed takes the word of who is no proxy of ours away, see proxies.only.
func (c *Coordinator) believed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { c.now().proxies.only(next).ServeHTTP(rw, r) })
}

// bound is a limit that may change while it is in force.
type bound func() int

// always is a bound that does not change.
func always(n int) bound { return func() int { return n } }
