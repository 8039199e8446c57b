package coordinator

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// policy lets the page load from nobody but us, run nothing that is written
// into a document, and keeps others from framing it (CSP level 3). The sources
// of connect-src go on, see secure and Coordinator.elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; media-src 'self'; " +
	"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"

const policyHeader = "Content-Security-Policy"

// permissions takes from the page, and from scripts that should ever get into
// it, what no game needs (Permissions Policy). What the page does use, gamepads,
// fullscreen, wake lock, clipboard and sharing, is its own by default.
const permissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), " +
	"microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()"

// secure sets the headers that every answer carries; hsts is how long browsers
// that came by TLS shall come by nothing else (RFC 6797), 0 says nothing of it.
func secure(hsts time.Duration, next http.Handler) http.Handler {
	strict := "max-age=" + strconv.FormatInt(int64(hsts/time.Second), 10)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set(policyHeader, policy+sockets(r))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", permissions)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if hsts > 0 && r.TLS != nil {
			h.Set("Strict-Transport-Security", strict)
		}
		next.ServeHTTP(rw, r)
	})
}

// sockets are the page's own WebSockets as sources of connect-src: older
// browsers do not count them to 'self'. Nothing but a plain host gets in.
func sockets(r *http.Request) string {
	host := strings.ToLower(r.Host)
	if !plainHost(host) {
		return ""
	}
	if r.TLS != nil {
		return " wss://" + host
	}
	return " ws://" + host + " wss://" + host // a proxy may speak TLS for us
}

// plainHost says whether a host in small letters, with or without a port, has
// nothing in it that a policy would read as more than a host.
func plainHost(host string) bool {
	return hostName(host) != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") == ""
}

// elsewhere are the sources of connect-src that only the page itself needs: the
// other addresses of this site, and where the latency of zones is measured.
func (c *Coordinator) elsewhere() string {
	return sources(c.now().alternates, true) + sources(c.probeOrigins(), false)
}

// sources writes origins as sources, with their WebSockets or without. Workers
// say where zones are measured: what is not a plain origin is left out.
func sources(origins []string, withSockets bool) string {
	var all []string
	for _, origin := range origins {
		u, err := url.Parse(strings.ToLower(origin))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !plainHost(u.Host) {
			continue
		}
		all = append(all, " "+u.Scheme+"://"+u.Host)
		if withSockets {
			all = append(all, " ws"+strings.TrimPrefix(u.Scheme, "http")+"://"+u.Host)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "")
}

// maxPath bounds the path of a request. The longest of ours have two ids.
const maxPath = 512 // bytes

// straight refuses paths that no page of ours asks for: those that would lead
// elsewhere if somebody behind us read them once more, and those without an end.
func (c *Coordinator) straight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !straightPath(r.URL) {
			c.stats.refuse("path")
			c.serveNowhere(rw, r)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

// straightPath says whether a path means what it says: no segment is empty, a
// dot or two, nothing is a backslash or a control character, no slash is
// written as %2f.
func straightPath(u *url.URL) bool {
	p, escaped := u.Path, strings.ToLower(u.EscapedPath())
	if len(escaped) > maxPath || !utf8.ValidString(p) || !strings.HasPrefix(p, "/") || strings.Contains(escaped, "%2f") ||
		strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) {
		return false
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return false
		}
	}
	return true
}
