package signin

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	sessionCookie = "cloudretro"
	flowCookie    = "cloudretro-flow"
	maxCopies     = 4  // of a cookie, that are looked at
	renewals      = 14 // times TTL is as long as anybody stays signed in
)

// session is who is signed in, as the cookie says it.
type session struct {
	User    signal.User `json:"u"`
	Began   int64       `json:"b"` // seconds since 1970
	Expires int64       `json:"e"` // seconds since 1970
}

// decodeSession checks what a cookie holds: an older or newer coordinator may
// have sealed it.
func decodeSession(data []byte) *session {
	var s session
	if json.Unmarshal(data, &s) != nil || s.User.Validate() != nil || s.Began <= 0 || s.Expires <= s.Began {
		return nil
	}
	return &s
}

// session is the one of a request's cookie. It is nil if there is none that
// counts, and the cause says why one does not.
func (d *Door) session(r *http.Request) (s *session, cause string) {
	for _, text := range cookies(r, sessionCookie) {
		data, err := d.seal.open(forSession, text)
		if err != nil {
			cause = "token"
			continue
		}
		if s := decodeSession(data); s != nil && d.now().Unix() < s.Expires {
			return s, ""
		}
		cause = "expired"
	}
	return nil, cause
}

// admit signs a user in.
func (d *Door) admit(rw http.ResponseWriter, r *http.Request, user signal.User) {
	now := d.now()
	d.write(rw, r, session{User: user, Began: now.Unix(), Expires: now.Add(d.cfg.TTL).Unix()})
	d.cfg.Logger.Info("signed in", "user", user.ID, "name", user.Name, "role", user.Role)
}

// Renew lets who is signed in stay so, as long as they come back. It must be
// called before the answer is begun.
func (d *Door) Renew(rw http.ResponseWriter, r *http.Request) {
	s, _ := d.session(r)
	if s == nil {
		return
	}
	now, last := d.now(), time.Unix(s.Began, 0).Add(renewals*d.cfg.TTL)
	expires := now.Add(d.cfg.TTL)
	if expires.After(last) {
		expires = last
	}
	if expires.Sub(time.Unix(s.Expires, 0)) < d.cfg.TTL/8 { // not with each request
		return
	}
	s.Expires = expires.Unix()
	d.write(rw, r, *s)
}

func (d *Door) write(rw http.ResponseWriter, r *http.Request, s session) {
	data, err := json.Marshal(s)
	if err != nil {
		panic("signin: encode session: " + err.Error()) // strings and numbers only
	}
	set(rw, r, sessionCookie, d.seal.seal(forSession, data), time.Unix(s.Expires, 0).Sub(d.now()))
}

// forget takes the session away from a browser.
func (d *Door) forget(rw http.ResponseWriter, r *http.Request) { set(rw, r, sessionCookie, "", 0) }

// set gives the browser a cookie; a life of 0 takes it away.
func set(rw http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	maxAge := int((life + time.Second - 1) / time.Second)
	if maxAge <= 0 {
		maxAge = -1
	}
	http.SetCookie(rw, &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: overTLS(r), SameSite: http.SameSiteStrictMode,
	})
}

// cookies are the values of a cookie. Where there is no TLS others may have
// put one of theirs beside ours.
func cookies(r *http.Request, name string) []string {
	var values []string
	for _, c := range r.CookiesNamed(cookieName(r, name)) {
		if len(values) < maxCopies {
			values = append(values, c.Value)
		}
	}
	return values
}

// cookieName: with this prefix browsers take a cookie from nobody but this host,
// by TLS (RFC 6265bis, 4.1.3.2).
func cookieName(r *http.Request, name string) string {
	if overTLS(r) {
		return "__Host-" + name
	}
	return name
}

// overTLS says whether the browser has come by TLS, perhaps to a proxy. That the
// header is one of a proxy of ours is seen to by who serves the Door.
func overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	said := r.Header.Values("X-Forwarded-Proto")
	if len(said) == 0 {
		return false
	}
	last := said[len(said)-1] // the word of the last proxy, which is ours
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	return strings.EqualFold(last, "https")
}

// remote is the address that a request comes from.
func remote(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64 // one customer has at least that many
	}
	prefix, _ := ip.Prefix(bits) // fits
	return prefix
}
