// Package signin lets players and admins in: with a password that they share,
// or with OpenID Connect. It remembers nobody: who is signed in stands in a
// sealed cookie, which every coordinator with the same secret and configuration
// can read. A cookie is not sent along from other sites (SameSite=Strict), so
// neither is the one of a sign-in when its provider sends the browser back: the
// page at /auth/callback passes on what the provider said, from our own origin.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// callbackPath is where the provider sends browsers back to. The coordinator
// serves the page of the sign-in there.
const callbackPath = "/auth/callback"

// maxBody bounds what a page posts.
const maxBody = 8 << 10

// Door knows who may come in. Its methods may be called concurrently.
type Door struct {
	cfg      Config
	seal     *sealer
	throttle *throttle
	provider *provider // nil unless the method is MethodOIDC
	now      func() time.Time
}

// New checks cfg. It does not need the network: the provider is asked in Run,
// or when somebody signs in.
func New(cfg Config) (*Door, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	seal, err := newSealer(cfg)
	if err != nil {
		return nil, fmt.Errorf("coordinator.signIn: %w", err)
	}
	d := &Door{cfg: cfg, seal: seal, throttle: newThrottle(), now: time.Now}
	if cfg.Method == MethodOIDC {
		d.provider = newProvider(cfg.OIDC, cfg.Logger)
	}
	return d, nil
}

// Run finds the provider, as soon as there is one, and returns when ctx ends.
func (d *Door) Run(ctx context.Context) error {
	if d.provider != nil {
		d.provider.run(ctx)
	}
	<-ctx.Done()
	return nil
}

// Required says whether players must be signed in.
func (d *Door) Required() bool { return d.cfg.Method != MethodNone }

// User is who is signed in, nil if nobody is.
func (d *Door) User(r *http.Request) *signal.User {
	s, cause := d.session(r)
	if s == nil {
		if cause != "" {
			d.cfg.Refused(cause)
		}
		return nil
	}
	user := s.User
	return &user
}

// Routes adds what is below /auth/.
func (d *Door) Routes(mux *http.ServeMux) {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		d.refuse(rw, http.StatusForbidden, "cross-site", "another site may not do this")
	}))
	post := func(path string, serve http.HandlerFunc) {
		mux.Handle("POST "+path, cross.Handler(uncached(serve)))
	}
	mux.Handle("GET /auth/state", uncached(d.serveState))
	post("/auth/logout", d.serveLogout)
	post("/auth/login", d.serveLogin)
	if d.provider != nil {
		post("/auth/start", d.serveStart)
		post(callbackPath, d.serveCallback)
	}
}

// uncached keeps answers to one browser out of every cache.
func uncached(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-store")
		next(rw, r)
	})
}

// state is what the page of the sign-in shows.
type state struct {
	Method        string       `json:"method"`
	Required      bool         `json:"required"` // of players
	User          *signal.User `json:"user"`     // null = nobody is signed in
	AdminPossible bool         `json:"adminPossible"`
	Password      bool         `json:"password"`           // there is one that lets somebody in
	Provider      string       `json:"provider,omitempty"` // its name
}

func (d *Door) serveState(rw http.ResponseWriter, r *http.Request) {
	d.Renew(rw, r)
	s := state{
		Method: d.cfg.Method, Required: d.Required(), User: d.User(r), AdminPossible: d.cfg.adminPossible(),
		Password: d.cfg.Password != "" || d.cfg.AdminPassword != "",
	}
	if d.provider != nil {
		s.Provider = d.cfg.OIDC.Name
	}
	answer(rw, http.StatusOK, s)
}

// serveLogout forgets who is signed in. The provider is not told: whoever shares
// the browser signs out there, too.
func (d *Door) serveLogout(rw http.ResponseWriter, r *http.Request) {
	d.forget(rw, r)
	rw.WriteHeader(http.StatusNoContent)
}

// refuse answers with an error for people and counts its cause.
func (d *Door) refuse(rw http.ResponseWriter, status int, cause, message string) {
	d.cfg.Refused(cause)
	answer(rw, status, signal.Error{Code: signal.Code(cause), Message: message})
}

func answer(rw http.ResponseWriter, status int, payload any) {
	data, err := json.Marshal(payload)
	if err != nil {
		panic("signin: encode answer: " + err.Error()) // strings and booleans only
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, _ = rw.Write(data) // the client may be gone
}

// read decodes what a page has posted, or has answered the request itself.
// Forms cannot make this content type, so an old browser's cannot cross sites.
func (d *Door) read(rw http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		d.refuse(rw, http.StatusUnsupportedMediaType, "bad-request", "want application/json")
		return false
	}
	data, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		d.refuse(rw, http.StatusRequestEntityTooLarge, "too-large", "that is too much to read")
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.refuse(rw, http.StatusRequestTimeout, "slow", "that came too slowly")
	case err != nil || json.Unmarshal(data, into) != nil:
		d.refuse(rw, http.StatusBadRequest, "bad-request", "this is not what a page of ours would send")
	default:
		return true
	}
	return false
}
