package coordinator

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// origins says whose pages may open a browser's WebSocket. Browsers always
// send Origin there; what sends none is no browser and gains nothing by it.
type origins map[string]bool

// newOrigins takes the origins that are allowed, "*" for all, and the other
// addresses of this site, whose pages come here when theirs do not answer.
func newOrigins(list []string, alternates ...string) (origins, error) {
	set := origins{}
	for _, s := range list {
		if s != "*" && !isOrigin(s) {
			return nil, fmt.Errorf("origin %q: want scheme://host[:port] without a path, or *", s)
		}
		set[strings.ToLower(s)] = true
	}
	for _, s := range alternates {
		if !isOrigin(s) {
			return nil, fmt.Errorf("alternate %q: want scheme://host[:port] without a path", s)
		}
		set[strings.ToLower(s)] = true
	}
	return set, nil
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && plainHost(strings.ToLower(u.Host)) &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil && !strings.HasSuffix(s, "?") && !strings.HasSuffix(s, "#")
}

// allow is CheckOrigin of a browser's socket.
func (o origins) allow(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	if o["*"] || o[strings.ToLower(values[0])] {
		return true
	}
	u, err := url.Parse(values[0])
	if err != nil || r.TLS != nil && u.Scheme != "https" { // anybody on the way could be a page without TLS
		return false
	}
	return u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// allowNone is CheckOrigin of workers and gates, which are no browsers.
func allowNone(r *http.Request) bool { return len(r.Header.Values("Origin")) == 0 }
