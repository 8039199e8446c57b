package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// access is who may call an operation.
type access int

const (
	open    access = iota // everybody
	players               // who is signed in, or everybody where nobody must be
	admins                // who is signed in as an admin
)

// operation is one method of a path.
type operation struct {
	access access
	serve  func(*call) error
}

// methods are the operations of a path by HTTP method.
type methods map[string]operation

// routes is all there is, by pattern of http.ServeMux. The paths read as those
// in openapi.json.
func (a *API) routes() map[string]methods {
	return map[string]methods{
		Prefix + "openapi.json":                  {http.MethodGet: {open, a.document}},
		Prefix + "health":                        {http.MethodGet: {open, a.health}},
		Prefix + "me":                            {http.MethodGet: {open, a.me}},
		Prefix + "games":                         {http.MethodGet: {players, a.games}},
		Prefix + "zones":                         {http.MethodGet: {players, a.zones}},
		Prefix + "rooms":                         {http.MethodGet: {players, a.rooms}},
		Prefix + "rooms/{room}":                  {http.MethodGet: {players, a.room}, http.MethodDelete: {admins, a.evict}},
		Prefix + "rooms/{room}/invitations":      {http.MethodPost: {players, a.invite}},
		Prefix + "rooms/{room}/invitations/{id}": {http.MethodDelete: {players, a.revoke}},
		Prefix + "workers":                       {http.MethodGet: {admins, a.workers}},
		Prefix + "workers/{worker}/drain":        {http.MethodPost: {admins, a.drain}},
		Prefix + "sessions":                      {http.MethodGet: {admins, a.sessions}},
		Prefix + "sessions/{session}":            {http.MethodDelete: {admins, a.end}},
	}
}

// handle serves a path; without operations it is none of ours.
func (a *API) handle(m methods) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-store")
		c := &call{rw: rw, r: r, api: a}
		if err := a.serve(c, m); err != nil {
			c.fail(err)
		}
	})
}

// serve does what every operation needs before it is called.
func (a *API) serve(c *call, m methods) error {
	if !a.cfg.Allow(c.r) {
		c.rw.Header().Set("Retry-After", "10")
		return refuse(http.StatusTooManyRequests, codeRate, "too many requests came from your address; wait a few seconds and try again")
	}
	if len(m) == 0 {
		return refuse(http.StatusNotFound, codeNotFound, "there is no such path; see "+Prefix+"openapi.json")
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body away
	}
	op, ok := m[method]
	if !ok {
		allowed := slices.Sorted(maps.Keys(m))
		c.rw.Header().Set("Allow", strings.Join(allowed, ", "))
		return refuse(http.StatusMethodNotAllowed, codeMethod, "the method here is "+strings.Join(allowed, " or "))
	}
	if err := a.crossed.Check(c.r); err != nil {
		return refuse(http.StatusForbidden, codeCrossSite, "a page of another site may not ask for that")
	}
	if err := c.identify(op.access); err != nil {
		return err
	}
	return op.serve(c)
}
