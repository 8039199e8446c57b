// Package identity says which pod of Kubernetes a token of a service account
// comes from. Tokens are those that the kubelet puts into a pod for an audience
// (kubernetes.io/docs/concepts/storage/projected-volumes, serviceAccountToken):
// they say who it is, for whom, until when, and the API server has signed them.
//
// A token is first read, which costs next to nothing, then checked against the
// public keys of the API server, which every service account may read, and at
// last shown to the API server by a TokenReview, where this process has the
// right to: it alone knows that the pod has been deleted. Without that right, or
// while the API server is away, the keys are enough.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Config says whose tokens are taken.
type Config struct {
	// API server that signs them. Required.
	API *cluster.API
	// Namespace and ServiceAccount are whose tokens they must be, Audience whom
	// they must be meant for. Required.
	Namespace, ServiceAccount, Audience string
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Identity is whom a token belongs to.
type Identity struct {
	Pod string // its name, in Config.Namespace
	UID string // of the pod
}

// ErrUnknown says that a token could not be checked: nothing is wrong with it
// as far as is known, and it may be shown again.
var ErrUnknown = errors.New("the API server cannot be asked for its keys")

// Verifier checks tokens. It starts no goroutine, and may be used concurrently.
type Verifier struct {
	cfg     Config
	now     func() time.Time
	keys    *keys
	reviews *reviews
	seen    *cache
}

// New makes a Verifier. It asks the API server for nothing.
func New(cfg Config) (*Verifier, error) {
	for name, value := range map[string]string{
		"namespace": cfg.Namespace, "service account": cfg.ServiceAccount, "audience": cfg.Audience,
	} {
		if value == "" {
			return nil, fmt.Errorf("identity: no %s", name)
		}
	}
	if cfg.API == nil {
		return nil, errors.New("identity: no client of a cluster")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{cfg: cfg, now: time.Now, seen: newCache()}
	v.keys = newKeys(cfg.API.REST(), cfg.Logger)
	v.reviews = newReviews(cfg.API.TokenReviews(), cfg.Audience, v.subject(), cfg.Logger)
	return v, nil
}

// subject is the user that the service account is (RFC 7519 section 4.1.2;
// kubernetes.io/docs/reference/access-authn-authz/authentication).
func (v *Verifier) subject() string {
	return "system:serviceaccount:" + v.cfg.Namespace + ":" + v.cfg.ServiceAccount
}

// Verify says whose a token is, or why it is refused; ErrUnknown is wrapped if
// that could not be found out. The errors do not show the token. What was found
// out holds for some seconds, so that a token may be shown to the API server less
// often than here.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	t, err := parse(token)
	if err != nil {
		return Identity{}, err
	}
	now := v.now()
	if err := v.admits(t.claims, now); err != nil {
		return Identity{}, err
	}
	if known, ok := v.seen.get(token, now); ok {
		return known.who, known.err
	}
	signed := v.keys.check(ctx, t, now)
	if signed != nil && !errors.Is(signed, ErrUnknown) {
		return Identity{}, signed
	}
	reviewed := v.reviews.ask(ctx, token, now)
	if errors.Is(reviewed, errNotAsked) {
		reviewed = signed
	}
	if errors.Is(reviewed, ErrUnknown) {
		return Identity{}, reviewed
	}
	found := result{err: reviewed}
	if reviewed == nil {
		found.who = Identity{t.claims.Kubernetes.Pod.Name, t.claims.Kubernetes.Pod.UID}
	}
	v.seen.put(token, found, now)
	return found.who, found.err
}

// leeway is by how much the clocks of the API server and of this host may differ.
const leeway = 30 * time.Second

// admits says what is wrong with claims, whoever has signed them.
func (v *Verifier) admits(c claims, now time.Time) error {
	own := c.Kubernetes
	switch {
	case c.Subject != v.subject():
		return fmt.Errorf("it is of %q, not of %q", clip(c.Subject), v.subject())
	case own.Namespace != v.cfg.Namespace || own.ServiceAccount.Name != v.cfg.ServiceAccount:
		return errors.New("it names another service account than its subject")
	case !c.Audience.Contains(v.cfg.Audience):
		return fmt.Errorf("it is not for audience %q; mount a projected token for that audience", v.cfg.Audience)
	case c.Expiry == nil || !now.Before(c.Expiry.Time().Add(leeway)):
		return errors.New("it has expired")
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return errors.New("it is not valid yet; are the clocks right?")
	case len(validation.IsDNS1123Subdomain(own.Pod.Name)) > 0 || own.Pod.UID == "" || len(own.Pod.UID) > maxUID:
		return errors.New("it is bound to no pod; mount a projected token")
	}
	return nil
}
