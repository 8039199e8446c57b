package coordinator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// RedirectError says that TLS.RedirectAddress cannot be listened on.
type RedirectError struct{ cause error }

// Error names the address and the cause.
func (e RedirectError) Error() string {
	return fmt.Sprintf("listen for plain HTTP: %v; is another process using the port?", e.cause)
}

// Unwrap is the cause.
func (e RedirectError) Unwrap() error { return e.cause }

// listen binds all addresses, or none.
func (c *Coordinator) listen() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.listener, err = net.Listen("tcp", c.cfg.Address); err != nil {
		return fmt.Errorf("listen on coordinator.server.address %q: %w; is another process using the port?", c.cfg.Address, err)
	}
	c.bounded = c.bound(c.listener)
	c.listener = c.bounded
	if c.cfg.Local {
		if c.local, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("listen for roles of this process: %w", err)
		}
	}
	if c.source == nil {
		return nil
	}
	if address := c.cfg.TLS.RedirectAddress; address != "" {
		if c.plain, err = net.Listen("tcp", address); err != nil {
			return RedirectError{err}
		}
		c.plain = c.bound(c.plain)
	}
	c.listener = tls.NewListener(c.listener, c.cfg.TLS.serverConfig(c.source))
	return nil
}

// Close releases the listeners of a Coordinator that was never run.
func (c *Coordinator) Close() error {
	for _, l := range []net.Listener{c.listener, c.plain, c.local} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close listener: %w", err)
		}
	}
	return nil
}

// LocalAddr is where roles of this process join by plain HTTP; nil without
// Config.Local.
func (c *Coordinator) LocalAddr() net.Addr {
	if c.local == nil {
		return nil
	}
	return c.local.Addr()
}

// server is an HTTP server that slow clients cannot hold up: TLS handshakes too
// have headerTimeout, as net/http bounds them by the shortest of these times.
func (c *Coordinator) server(ctx context.Context, handler http.Handler) *http.Server {
	seen := newVisits(c.stats.refuse)
	return &http.Server{
		Handler:           seen.served(handler),
		ConnContext:       seen.come,
		ConnState:         seen.changed,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestLimit,
		WriteTimeout:      responseLimit,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
}

func serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("coordinator: serve %s: %w", l.Addr(), err)
	}
	return nil
}

// serveBeside serves a listener besides the door until ctx ends. Sockets that
// come by it are waited for by shutdown.
func (c *Coordinator) serveBeside(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := c.server(ctx, secure(0, handler))
	server.SetKeepAlivesEnabled(false) // nobody has a second question here
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(server, l) })
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return g.Wait()
}
