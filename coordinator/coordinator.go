// Package coordinator is the role that browsers reach first: it serves the
// page, holds the browsers' WebSockets, chooses a worker for each game and
// carries signalling between the two. It owns nothing that workers do not
// announce again when they reconnect, so it may be restarted, or run as
// several replicas, without a game noticing.
package coordinator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// Bounds of the HTTP server.
const (
	headerTimeout   = 5 * time.Second
	requestLimit    = 30 * time.Second // to read a request
	responseLimit   = 60 * time.Second // to write the answer to a slow client
	idleTimeout     = 90 * time.Second
	shutdownTimeout = 3 * time.Second
	maxHeader       = 32 << 10
	maxPages        = 10_000 // sockets of pages
	maxPagesEach    = 256    // of them from one address
	maxRoles        = 1_000  // sockets of workers and gates, which pages must not crowd out
	maxStrangers    = 64     // of them that have not proved who they are
	maxStrangerEach = 16     // of these from one address
)

// Coordinator serves the page, browsers, workers and gates on one listener.
type Coordinator struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	registry *registry
	sessions *sessions

	pages, roles class // of sockets
	strangers    strangers
	budgets      *budgets
	turnSecrets  atomic.Pointer[[]string] // read-only

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
	allowed, err := newOrigins(cfg.Origins)
	if err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	listener, err := listen(cfg)
	if err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	registry := newRegistry()
	c := &Coordinator{
		cfg: cfg, log: cfg.Logger, listener: listener,
		registry: registry, sessions: newSessions(cfg.Secret, registry),
		pages:     newClass(maxPages, maxPagesEach, signal.MaxMessage, pageQueue, allowed.allow),
		roles:     newClass(maxRoles, maxRoles, signal.MaxInternal, roleQueue, allowNone),
		strangers: newStrangers(maxStrangers, maxStrangerEach), budgets: newBudgets(),
	}
	c.turnSecrets.Store(&cfg.TURNSecrets)
	return c, nil
}

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Secret == "" {
		return errors.New("the secret shared with the workers is empty; set secrets.worker")
	}
	if len(cfg.TURNSecrets) == 0 {
		cfg.TURNSecrets = []string{credential.Derive(cfg.Secret, credential.LabelTURN)}
	}
	if err := checkSecrets(cfg.TURNSecrets); err != nil {
		return err
	}
	if cfg.CredentialTTL == 0 {
		cfg.CredentialTTL = defaultCredentialTTL
	}
	if cfg.CredentialTTL < time.Minute {
		return fmt.Errorf("a TURN credential's life of %s is under a minute", cfg.CredentialTTL)
	}
	for _, s := range cfg.ICEServers {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("webrtc.iceServers: %w", err)
		}
	}
	if cfg.Web == nil {
		return errors.New("no page to serve")
	}
	if _, err := fs.Stat(cfg.Web, "index.html"); err != nil {
		return fmt.Errorf("the page has no index.html: %w", err)
	}
	return nil
}

// listen binds the address, with TLS if there is a certificate.
func listen(cfg Config) (net.Listener, error) {
	var certificate *tls.Certificate
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load TLS certificate %q and key %q: %w", cfg.CertFile, cfg.KeyFile, err)
		}
		certificate = &pair
	}
	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on coordinator.server.address %q: %w; is another process using the port?", cfg.Address, err)
	}
	if certificate != nil {
		// WebSockets need HTTP/1.1, and the page is too small to gain from 2.
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	return listener, nil
}

// Addr is the address that the listener is bound to.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

// Close releases the listener of a Coordinator that was never run.
func (c *Coordinator) Close() error {
	if err := c.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener: %w", err)
	}
	return nil
}

// Run serves until ctx ends (nil) or serving fails. It returns after the last
// connection and goroutine ended, and may be called once.
func (c *Coordinator) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler:           secure(c.routes(ctx)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestLimit,
		WriteTimeout:      responseLimit,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("coordinator: serve %s: %w", c.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		c.sweep(ctx)
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return c.shutdown(server)
	})
	c.log.Info("coordinator is up", "address", c.Addr().String(), "tls", c.cfg.CertFile != "")
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
		case <-ctx.Done():
			return
		}
	}
}

// routes are all there is to reach; sockets last until ctx ends.
func (c *Coordinator) routes(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{path...}", c.servePage)
	mux.HandleFunc("GET /api/games", c.serveGames)
	for path, serve := range map[string]http.HandlerFunc{
		"GET /ws": c.serveBrowser, "GET /ws/worker": c.serveWorker, "GET /ws/turn": c.serveGate,
	} {
		mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) {
			// A request's own context ends with its handler; a start goes on
			// for a page that is about to resume.
			serve(rw, r.WithContext(ctx))
		})
	}
	return mux
}
