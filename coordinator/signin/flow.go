package signin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of a sign-in at a provider.
const (
	flowLife  = 10 * time.Minute
	maxFlows  = 4 // of one browser at once: tabs
	maxReturn = 256
	maxCode   = 4 << 10
)

// flow is a sign-in that has begun: what the browser must bring back, and what
// the provider must know. It stands in a cookie, so that nobody can have
// another's browser finish a sign-in that they began.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // of PKCE, RFC 7636
	Redirect string `json:"u"`
	Return   string `json:"r"` // path of ours to go back to
	Expires  int64  `json:"e"` // seconds since 1970
}

// decodeFlows checks what a cookie holds and answers those that go on.
func decodeFlows(data []byte, now time.Time) []flow {
	var all, live []flow
	if json.Unmarshal(data, &all) != nil || len(all) > maxFlows {
		return nil
	}
	for _, f := range all {
		whole := f.State != "" && f.Nonce != "" && f.Verifier != "" && f.Redirect != "" && f.Return == localPath(f.Return)
		if whole && now.Unix() < f.Expires {
			live = append(live, f)
		}
	}
	return live
}

// flows are the ones of a browser.
func (d *Door) flows(r *http.Request) []flow {
	for _, text := range cookies(r, flowCookie) {
		if data, err := d.seal.open(forFlow, text); err == nil {
			return decodeFlows(data, d.now())
		}
	}
	return nil
}

// keep gives a browser its flows, without the oldest that do not fit.
func (d *Door) keep(rw http.ResponseWriter, r *http.Request, all []flow) {
	for len(all) > 0 {
		data, err := json.Marshal(all)
		if err != nil {
			panic("signin: encode flows: " + err.Error()) // strings and numbers only
		}
		if text := d.seal.seal(forFlow, data); len(all) <= maxFlows && len(text) <= maxSealed {
			set(rw, r, flowCookie, text, flowLife)
			return
		}
		all = all[1:]
	}
	set(rw, r, flowCookie, "", 0)
}

// serveStart begins a sign-in and answers where the browser has to go.
func (d *Door) serveStart(rw http.ResponseWriter, r *http.Request) {
	var said struct {
		Return string `json:"return"`
	}
	if !d.read(rw, r, &said) {
		return
	}
	redirect := d.redirect(r)
	if redirect == "" {
		d.refuse(rw, http.StatusBadRequest, "bad-request", "the host of this request is none to come back to")
		return
	}
	found, err := d.provider.find(r.Context())
	if err != nil {
		d.unreachable(rw, err)
		return
	}
	f := flow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Redirect: redirect, Return: localPath(said.Return), Expires: d.now().Add(flowLife).Unix(),
	}
	d.keep(rw, r, append(d.flows(r), f))
	answer(rw, http.StatusOK, struct {
		Location string `json:"location"`
	}{d.provider.oauth(found, redirect).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier))})
}

// serveCallback ends a sign-in with what the provider gave to the browser.
func (d *Door) serveCallback(rw http.ResponseWriter, r *http.Request) {
	var said struct {
		Code  string `json:"code"`
		State string `json:"state"`
		Error string `json:"error"` // of the provider, RFC 6749, section 4.1.2.1
	}
	if !d.read(rw, r, &said) {
		return
	}
	f, others := pick(d.flows(r), said.State)
	if f == nil {
		d.refuse(rw, http.StatusForbidden, "state", "this sign-in was not begun in this browser, or too long ago; begin again")
		return
	}
	d.keep(rw, r, others) // each once
	if said.Error != "" || said.Code == "" || len(said.Code) > maxCode {
		d.cfg.Logger.Info("the provider refused a sign-in", "cause", signal.Clip(said.Error))
		d.refuse(rw, http.StatusForbidden, "denied", d.cfg.OIDC.Name+" did not let you in")
		return
	}
	user, err := d.provider.redeem(r.Context(), said.Code, f, d.now)
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		d.admit(rw, r, user)
		answer(rw, http.StatusOK, struct {
			Return string      `json:"return"`
			User   signal.User `json:"user"`
		}{f.Return, user})
	case errors.As(err, &refused):
		d.cfg.Logger.Warn("the provider refused a code", "cause", err)
		d.refuse(rw, http.StatusForbidden, "denied", d.cfg.OIDC.Name+" did not accept this sign-in; begin again")
	case errors.Is(err, errToken):
		d.cfg.Logger.Warn("the provider's answer is refused", "cause", err)
		d.refuse(rw, http.StatusForbidden, "token", "what "+d.cfg.OIDC.Name+" says cannot be trusted; begin again")
	default:
		d.unreachable(rw, err)
	}
}

// unreachable says that the provider does not answer; how exactly is for the
// log only.
func (d *Door) unreachable(rw http.ResponseWriter, err error) {
	if !errors.Is(err, errNoProvider) { // that was logged when it was asked
		d.cfg.Logger.Warn("the provider of the sign-in cannot be reached", "issuer", d.cfg.OIDC.Issuer, "cause", err)
	}
	d.refuse(rw, http.StatusBadGateway, "failed", d.cfg.OIDC.Name+", which signs people in here, does not answer as it should; try again in a moment")
}

// pick takes the flow with this state from the others.
func pick(all []flow, state string) (one *flow, others []flow) {
	for _, f := range all {
		if one == nil && subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) == 1 {
			one = &f
			continue
		}
		others = append(others, f)
	}
	return one, others
}

// redirect is where the provider sends the browser back to, "" if the request's
// Host is not one.
func (d *Door) redirect(r *http.Request) string {
	if d.cfg.OIDC.RedirectURL != "" {
		return d.cfg.OIDC.RedirectURL
	}
	u := url.URL{Scheme: "http", Host: r.Host, Path: callbackPath}
	if overTLS(r) {
		u.Scheme = "https"
	}
	plain := strings.Trim(strings.ToLower(r.Host), "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") == ""
	if parsed, err := url.Parse(u.String()); err != nil || !plain || parsed.Host != r.Host || !signal.ValidHost(parsed.Hostname()) {
		return ""
	}
	return u.String()
}

// localPath is s if it is a path of ours (and perhaps a query) to go back to
// after the sign-in, else "/".
func localPath(s string) string {
	u, err := url.Parse(s)
	plain := err == nil && len(s) <= maxReturn && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") &&
		u.Scheme == "" && u.Host == "" && u.Fragment == "" && !strings.HasPrefix(u.Path, "/auth/") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' })
	if !plain {
		return "/"
	}
	return s
}
