// Package coordinator is the role that browsers reach first: it serves the
// page, holds the browsers' WebSockets, chooses a worker for each game and
// carries signalling between the two. It owns nothing that workers do not
// announce again when they reconnect, so it may be restarted, or run as
// several replicas, without a game noticing.
package coordinator

import (
	"context"
	"errors"
	"net"
)

// Coordinator serves the page, browsers, workers and gates on one listener.
type Coordinator struct{ listener net.Listener }

// New checks cfg and binds the listener, so that a port in use is an error
// here. It starts nothing: call Run, or Close if Run will not be called.
func New(cfg Config) (*Coordinator, error) { return nil, errors.New("coordinator: not built yet") }

// Addr is the address that the listener is bound to.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

// Run serves until ctx ends (nil) or serving fails. It returns after the last
// connection and goroutine ended, and may be called once.
func (c *Coordinator) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close releases the listener of a Coordinator that was never run.
func (c *Coordinator) Close() error { return c.listener.Close() }
