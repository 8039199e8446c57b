package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Bounds of what is asked of a provider.
const (
	askTimeout = 10 * time.Second
	maxAnswer  = 1 << 20 // bytes
	firstPause = time.Second
	longPause  = time.Minute
)

var errNoProvider = errors.New("the provider was asked a moment ago and did not answer")

// provider is the OpenID Connect provider, once it was found.
type provider struct {
	cfg    OIDC
	log    *slog.Logger
	client *http.Client

	asking sync.Mutex // held while the provider is being found
	mu     sync.Mutex
	found  *oidc.Provider
	failed time.Time // when it was not found
}

func newProvider(cfg OIDC, log *slog.Logger) *provider {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &provider{cfg: cfg, log: log, client: &http.Client{
		Transport: limited{transport}, Timeout: askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// limited bounds what is read of an answer.
type limited struct{ *http.Transport }

// RoundTrip does a request.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.Transport.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Client says what was asked
	}
	body := response.Body
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, maxAnswer), body}
	return response, nil
}

// run looks for the provider until it is found or ctx ends, and closes its
// connections when ctx ends.
func (p *provider) run(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		_, err := p.find(ctx)
		if err == nil {
			<-ctx.Done()
			return
		}
		if ctx.Err() == nil && !errors.Is(err, errNoProvider) {
			p.log.Warn("the provider of the sign-in cannot be reached", "issuer", p.cfg.Issuer, "cause", err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// find asks the provider for its addresses and keys, unless that is known, or
// has failed a moment ago.
func (p *provider) find(ctx context.Context) (*oidc.Provider, error) {
	if found := p.known(); found != nil {
		return found, nil
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	if found := p.known(); found != nil {
		return found, nil
	}
	p.mu.Lock()
	fresh := time.Since(p.failed) < firstPause/2
	p.mu.Unlock()
	if fresh {
		return nil, errNoProvider
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	found, err := oidc.NewProvider(oidc.ClientContext(asking, p.client), p.cfg.Issuer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil { // else who asked has left, which says nothing of the provider
			p.failed = time.Now()
		}
		return nil, fmt.Errorf("find the provider: %w", err)
	}
	p.found = found
	return found, nil
}

func (p *provider) known() *oidc.Provider {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found
}

// oauth is how the provider is spoken to.
func (p *provider) oauth(found *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: found.Endpoint(),
		RedirectURL: redirect, Scopes: p.cfg.Scopes,
	}
}
