package coordinator

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/cloudretro/cloudretro/coordinator/acme"
	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// plainRoutes are all there is without TLS: challenges of ACME, and the way to
// HTTPS for the names that there is a certificate for.
func (c *Coordinator) plainRoutes() http.Handler {
	port := c.cfg.TLS.RedirectPort
	if tcp, ok := c.Addr().(*net.TCPAddr); ok && port == 0 {
		port = tcp.Port
	}
	switch s := c.source.(type) {
	case *acme.Issuer:
		return s.Challenges(redirector{s.Allows, port})
	case *certificate.Files:
		return redirector{s.Allows, port}
	}
	return http.NotFoundHandler()
}

// redirector sends to https:// at the same host, and only if it is ours: a Host
// header of somebody else's making must not lead anybody away.
type redirector struct {
	allows func(host string) bool
	port   int
}

// ServeHTTP implements http.Handler. The redirect is a temporary one: browsers
// keep permanent ones for longer than an operator may want to; that is what HSTS
// is for.
func (d redirector) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		http.Error(rw, "there is only a way to HTTPS here", http.StatusMethodNotAllowed)
		return
	}
	host, path := hostName(r.Host), r.URL.EscapedPath()
	if host == "" || !d.allows(host) || !strings.HasPrefix(path, "/") {
		http.Error(rw, "this name is not served here", http.StatusMisdirectedRequest)
		return
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if d.port != 443 {
		host += ":" + strconv.Itoa(d.port)
	}
	target := "https://" + host + path
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	rw.Header().Set("Cache-Control", "no-store")
	http.Redirect(rw, r, target, http.StatusTemporaryRedirect)
}
