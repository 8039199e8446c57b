package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Where the API server says who it is and with which keys it signs
// (kubernetes.io/docs/tasks/configure-pod-container/configure-service-account,
// "Service account issuer discovery"). Every service account may read both.
const (
	issuerPath = "/.well-known/openid-configuration"
	keysPath   = "/openid/v1/jwks"
)

// Bounds of what is fetched from there.
const (
	fetchTimeout = 5 * time.Second
	fetchPause   = 5 * time.Second  // from one fetch to the next, at least
	fetchAgain   = 10 * time.Minute // after which keys may have been withdrawn
	maxDocument  = 256 << 10        // bytes
	maxKeys      = 64
)

// keySet is what the API server has said last. It is not changed.
type keySet struct {
	issuer  string
	byID    map[string]any // *rsa.PublicKey or *ecdsa.PublicKey
	fetched time.Time
}

// keys are those of the API server. They are fetched when one is needed that is
// not known, or when they are old; while that fails, those that are known hold.
type keys struct {
	server rest.Interface
	log    *slog.Logger
	turn   chan struct{} // held by who fetches

	mu     sync.Mutex // guards the rest
	set    *keySet    // nil before the first
	tried  time.Time  // when the last fetch began
	failed error      // what the last fetch came to
}

func newKeys(server rest.Interface, log *slog.Logger) *keys {
	return &keys{server: server, log: log, turn: make(chan struct{}, 1)}
}

// check says whether the API server has signed a token. The error wraps
// ErrUnknown if that cannot be found out.
func (k *keys) check(ctx context.Context, t parsed, now time.Time) error {
	set, err := k.known()
	switch {
	case set == nil || set.byID[t.key] == nil:
		select {
		case k.turn <- struct{}{}:
			set, err = k.renew(ctx, now)
		case <-ctx.Done():
			err = ctx.Err()
		}
	case now.Sub(set.fetched) >= fetchAgain:
		select {
		case k.turn <- struct{}{}:
			set, err = k.renew(ctx, now)
		default: // somebody else is about it
		}
	}
	if set == nil || set.byID[t.key] == nil && err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	key := set.byID[t.key]
	switch {
	case key == nil:
		return errors.New("it is signed with a key that is none of the API server's")
	case t.signed.Claims(key) != nil:
		return errors.New("its signature is forged")
	case t.claims.Issuer != set.issuer:
		return fmt.Errorf("its issuer is %q, not %q", clip(t.claims.Issuer), clip(set.issuer))
	}
	return nil
}

// known are the keys as they were fetched last, and what the last fetch came to.
func (k *keys) known() (*keySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.failed
}

// renew fetches the keys unless that was tried a moment ago: who makes up ids of
// keys must not have us ask for them as often as they like. The caller has taken
// its turn, which is given back.
func (k *keys) renew(ctx context.Context, now time.Time) (*keySet, error) {
	defer func() { <-k.turn }()
	k.mu.Lock()
	again := k.tried.IsZero() || now.Sub(k.tried) >= fetchPause
	if again {
		k.tried = now
	}
	k.mu.Unlock()
	if !again {
		return k.known()
	}
	set, err := k.fetch(context.WithoutCancel(ctx)) // who hangs up does not spoil it for the others
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		set.fetched, k.set = now, set
	case k.failed == nil:
		k.log.Warn("the keys that tokens of workers are checked with cannot be fetched; those that are known hold", "cause", err)
	}
	k.failed = err
	return k.set, err
}

// fetch asks the API server for its keys.
func (k *keys) fetch(ctx context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	about, err := k.get(ctx, issuerPath)
	if err != nil {
		return nil, err
	}
	issuer, err := parseIssuer(about)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", issuerPath, err)
	}
	document, err := k.get(ctx, keysPath)
	if err != nil {
		return nil, err
	}
	byID, err := parseKeys(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keysPath, err)
	}
	return &keySet{issuer: issuer, byID: byID}, nil
}

func (k *keys) get(ctx context.Context, path string) ([]byte, error) {
	body, err := k.server.Get().AbsPath(path).MaxRetries(0).Stream(ctx)
	if apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("%s is forbidden; bind the ClusterRole system:service-account-issuer-discovery to the coordinator's service account: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxDocument)
	}
	return data, nil
}

// parseIssuer reads who signs the tokens (OpenID Connect Discovery 1.0 section 3).
func parseIssuer(document []byte) (string, error) {
	var about struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(document, &about); err != nil {
		return "", fmt.Errorf("read issuer: %w", err)
	}
	if about.Issuer == "" {
		return "", errors.New("names no issuer")
	}
	return about.Issuer, nil
}

// parseKeys reads a set of keys (RFC 7517 section 5). Those of a kind that signs
// nothing here are left out.
func parseKeys(document []byte) (map[string]any, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	byID := map[string]any{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || key.KeyID == "" {
			continue
		}
		switch key.Key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			byID[key.KeyID] = key.Key
		}
	}
	if len(byID) == 0 {
		return nil, errors.New("has no key that signs tokens")
	}
	return byID, nil
}
