package coordinator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// policy lets the page load from nobody but us, run nothing that is written
// into a document, and keeps others from framing it (CSP level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; media-src 'self'; " +
	"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"

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
		h.Set("Content-Security-Policy", policy+sockets(r))
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
	if hostName(host) == "" || strings.ContainsFunc(host, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", c)
	}) {
		return ""
	}
	if r.TLS != nil {
		return " wss://" + host
	}
	return " ws://" + host + " wss://" + host // a proxy may speak TLS for us
}
