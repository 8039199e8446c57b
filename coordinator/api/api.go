// Package api is the coordinator's REST interface under /api/v1: what runs, for
// those who may know, and for admins what ends it. openapi.json describes it,
// and a test keeps the two alike.
//
// Who asks is known by the cookie of the sign-in, or by the token of a running
// session as "Authorization: Bearer". Every error is an Error in JSON.
package api

import (
	"context"
	"net/http"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Prefix is where all paths of the API begin.
const Prefix = "/api/v1/"

// Games is where the games are listed too, for those who know CloudRetro.
const Games = "/api/games"

// directory is who has announced what.
type directory interface {
	Zones() []Zone     // by name
	Workers() []Worker // in the order of their ids
	Totals() Totals
}

// lobby is the rooms.
type lobby interface {
	Rooms() []Room // in the order of their ids
	Room(id string) (Room, bool)
}

// operator does what admins ask for. Errors are *signal.Error.
type operator interface {
	// Sessions are those at one worker, or with "" at all; silent are the workers
	// that did not answer.
	Sessions(ctx context.Context, worker string) (sessions []Session, silent []string, err error)
	// End ends a session or a room; worker, if it is not "", is the one to ask.
	End(ctx context.Context, worker string, end signal.End) error
	Drain(worker string, drain signal.Drain) error
}

// hosts lets people into rooms. Errors are *signal.Error.
type hosts interface {
	Invite(ctx context.Context, i signal.Invite) (signal.Invited, error)
	Revoke(ctx context.Context, r signal.Revoke) error
}

// gatekeeper knows who asks.
type gatekeeper interface {
	User(r *http.Request) *signal.User // by cookie; nil is nobody
	Required() bool                    // whether players must be signed in
	Session(token string) (signal.Session, error)
}

// Config is what an API needs; all of it is required, but for Did.
type Config struct {
	Coordinator string           // id of this process
	Games       http.HandlerFunc // answers GET with all games, and ETags
	Directory   directory
	Lobby       lobby
	Operator    operator
	Hosts       hosts
	Gatekeeper  gatekeeper
	Allow       func(r *http.Request) bool // whether an address may ask once more
	Ready       func() error               // why nobody should be sent here, nil for no reason
	Refused     func(cause string)         // is told the code of every refusal
	// Did is told what an admin has done to a worker, room or session; nil: nobody is.
	Did func(by signal.User, what, id string)
}

// API is an http.Handler for everything below Prefix, and for Games.
type API struct {
	cfg     Config
	mux     *http.ServeMux
	crossed *http.CrossOriginProtection
}

// New makes an API. It starts nothing.
func New(cfg Config) *API {
	a := &API{cfg: cfg, mux: http.NewServeMux(), crossed: http.NewCrossOriginProtection()}
	for path, methods := range a.routes() {
		a.mux.Handle(path, a.handle(methods))
	}
	a.mux.Handle(Games, a.handle(methods{http.MethodGet: {players, a.games}}))
	a.mux.Handle("/", a.handle(nil))
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(rw http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(rw, r) }
