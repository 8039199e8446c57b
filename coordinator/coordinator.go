// Package coordinator is the role that browsers reach first: it serves the
// page, holds the browsers' WebSockets, chooses a worker for each game and
// carries signalling between the two. It owns nothing that workers do not
// announce again when they reconnect, so it may be restarted, or run as
// several replicas, without a game noticing.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/api"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin"
)

// Bounds of the HTTP server.
const (
	headerTimeout   = 5 * time.Second
	requestLimit    = 30 * time.Second // to read a request
	responseLimit   = 60 * time.Second // to write the answer to a slow client
	idleTimeout     = 90 * time.Second
	shutdownTimeout = 3 * time.Second
	maxHeader       = 32 << 10
	maxStrangers    = 64 // of them that have not proved who they are
	maxStrangerEach = 16 // of these from one address
)

// Coordinator serves the page, browsers, workers and gates on one listener.
type Coordinator struct {
	cfg      Config
	id       string // new at each start: roles and workers' queues know us by it
	log      *slog.Logger
	listener net.Listener
	plain    net.Listener // redirects to listener, nil if there is none
	local    net.Listener // of workers and gates of this process, nil if there is none
	bounded  *bounded     // under listener
	refused  atomic.Uint64
	source   source // of certificates, nil for plain HTTP
	registry *registry
	sessions *sessions
	queue    *queue // who waits here for a place
	board    *board // and elsewhere

	pages, roles *class // of sockets
	strangers    *strangers
	budgets      *budgets // of starts
	questions    *budgets // to the API
	stats        *stats
	seldom       seldom // what is logged seldom
	door         *signin.Door
	relays       atomic.Pointer[[]string] // see followRelays
	current      atomic.Pointer[settings]
	life         life

	gate     sync.Mutex // guards closing against new sockets
	closing  bool
	sockets  sync.WaitGroup // handlers of sockets
	requests sync.WaitGroup // requests that sockets left behind
}

// New checks cfg and binds the listener, so that a port in use is an error
// here. It starts nothing: call Run, or Close if Run will not be called.
func New(cfg Config) (*Coordinator, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	current, err := cfg.settings()
	if err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	source, err := cfg.TLS.open(cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	stats := newStats()
	registry := newRegistry()
	if cfg.Starting {
		registry.emptied = time.Now()
	}
	c := &Coordinator{
		cfg: cfg, id: signal.NewID(), log: cfg.Logger, source: source,
		registry: registry, strangers: newStrangers(maxStrangers, maxStrangerEach), stats: stats,
	}
	c.current.Store(current)
	c.life.init()
	c.limit()
	if c.door, err = signin.New(cfg.signIn(c.refuseSignIn)); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	c.board, c.queue = newBoard(c.id, cfg.SessionSecret), newQueue(c)
	c.sessions = newSessions(cfg.SessionSecret, registry, c.queue)
	if err := c.listen(); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	return c, nil
}

// limit puts the bounds of the settings, which may change, on what strangers ask for.
func (c *Coordinator) limit() {
	c.pages = newClass(
		func() int { return c.now().limits.Pages }, func() int { return c.now().limits.PagesPerAddress },
		signal.MaxMessage, pageQueue, c.allows,
	)
	c.roles = newRoles(func() int { return c.now().limits.Roles })
	c.budgets = newBudgets(func() int { return c.now().limits.StartsPerMinute })
	c.questions = newBudgets(func() int { return c.now().limits.RequestsPerMinute })
}

// complete fills in defaults and refuses what cannot work, but for the settings.
func (cfg *Config) complete() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Secret == "" {
		return errors.New("the secret shared with the workers is empty; set secrets.worker")
	}
	if cfg.SessionSecret == "" {
		cfg.SessionSecret = cfg.Secret
	}
	if cfg.Web == nil {
		return errors.New("no page to serve")
	}
	if _, err := fs.Stat(cfg.Web, "index.html"); err != nil {
		return fmt.Errorf("the page has no index.html: %w", err)
	}
	return nil
}

// signIn is what the door of sign-ins takes.
func (cfg *Config) signIn(refused func(cause string)) signin.Config {
	door := cfg.SignIn
	if door.Secret == "" {
		door.Secret = cfg.SessionSecret
	}
	door.Address = func(r *http.Request) netip.Prefix { return netip.Prefix(addressOf(r)) }
	door.Refused, door.Logger = refused, cfg.Logger
	return door
}

// refuseSignIn counts what the door has refused. Cookies that are not ours are
// old ones, mostly; if they never end, the coordinators do not have the same.
func (c *Coordinator) refuseSignIn(cause string) {
	c.stats.refuse(cause)
	if cause == "token" && c.seldom.may("cookie", time.Now()) {
		c.log.Warn("what somebody is signed in with is refused; do all coordinators have the same coordinator.signIn, secrets.session and secrets.worker?", "quietFor", seldomPeriod)
	}
}

// Addr is the address that the listener is bound to.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

// Run serves until ctx ends (nil) or serving fails: when ctx ends it goes on for
// Config.DrainGrace, then pages are told to turn to another coordinator. It
// returns after the last connection and goroutine ended, and may be called once.
func (c *Coordinator) Run(ctx context.Context) error {
	told := ctx
	serving, stop := context.WithCancel(context.WithoutCancel(told))
	defer stop()
	g, ctx := errgroup.WithContext(serving)
	roles, leave := context.WithCancel(context.WithoutCancel(ctx)) // workers hear what is given up at the end
	defer leave()
	server := c.server(ctx, c.believed(c.logged(secure(c.cfg.TLS.HSTS, c.straight(c.routes(ctx, roles))))))
	g.Go(func() error { return serve(server, c.listener) })
	g.Go(func() error { return c.door.Run(ctx) })
	if c.source != nil {
		g.Go(func() error { return c.source.Run(ctx) })
	}
	if c.cfg.Relays != nil {
		g.Go(func() error {
			c.followRelays(ctx)
			return nil
		})
	}
	if c.plain != nil {
		g.Go(func() error { return c.serveBeside(ctx, c.plain, c.believed(c.logged(c.plainRoutes()))) })
	}
	if c.local != nil {
		g.Go(func() error { return c.serveBeside(ctx, c.local, c.addRoleRoutes(roles, http.NewServeMux())) })
	}
	g.Go(func() error {
		c.sweep(ctx)
		return nil
	})
	g.Go(func() error {
		c.linger(told, ctx)
		stop()
		c.queue.end()
		leave()
		return c.shutdown(server)
	})
	c.log.Info("coordinator is up", "address", c.Addr().String(), "tls", c.source != nil, "redirects", c.cfg.TLS.RedirectAddress)
	return g.Wait()
}

// shutdown lets requests end and waits for all sockets, which have seen the
// end of their context.
func (c *Coordinator) shutdown(server *http.Server) error {
	c.gate.Lock()
	c.closing = true
	c.gate.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a client that is too slow to wait for
	}
	c.sockets.Wait()
	c.requests.Wait()
	if err != nil {
		return fmt.Errorf("coordinator: shut down: %w", err)
	}
	return nil
}

// sweep forgets lost sessions and whole budgets until ctx ends.
func (c *Coordinator) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.sessions.sweep(now)
			c.budgets.sweep(now)
			c.questions.sweep(now)
			c.registry.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

// routes are all there is to reach; sockets last until ctx ends.
func (c *Coordinator) routes(ctx, roles context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", c.readOnly(c.servePage))
	c.door.Routes(mux)
	rest := newAPI(c)
	mux.Handle(api.Prefix, rest)
	mux.Handle(api.Games, rest)
	mux.HandleFunc("GET /ws", lasting(ctx, c.serveBrowser))
	c.addRoleRoutes(roles, mux)
	return mux
}

// readOnly refuses what would change something. The page's pattern must not name
// its methods: one that does is not more general than those of the API.
func (c *Coordinator) readOnly(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			c.stats.refuse("method")
			rw.Header().Set("Allow", "GET, HEAD")
			http.Error(rw, "there is nothing here to change", http.StatusMethodNotAllowed)
			return
		}
		serve(rw, r)
	})
}

// addRoleRoutes are for workers and gates.
func (c *Coordinator) addRoleRoutes(ctx context.Context, mux *http.ServeMux) *http.ServeMux {
	mux.HandleFunc("GET /ws/worker", lasting(ctx, c.serveWorker))
	mux.HandleFunc("GET /ws/turn", lasting(ctx, c.serveGate))
	return mux
}

// lasting gives a socket's requests the context that sockets end with. Their own
// would end with its handler, but a start goes on for a page that is about to
// resume.
func lasting(ctx context.Context, serve http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) { serve(rw, r.WithContext(ctx)) }
}
