// Package turn is the role that relays media between browsers and workers
// which cannot reach one another: a TURN server (RFC 8656) that admits only
// credentials minted by a coordinator and relays only to live workers.
package turn

import (
	"context"
	"errors"
)

// Gate is a TURN server and its connections to the coordinators.
type Gate struct{}

// New checks cfg and binds the listeners, so that a port in use is an error
// here. It starts nothing: call Run, or Close if Run will not be called.
func New(cfg Config) (*Gate, error) { return nil, errors.New("turn: not built yet") }

// URLs are what the gate announces, one per listener.
func (g *Gate) URLs() []string { return nil }

// Run serves until ctx ends (nil) or serving fails. It returns after the last
// goroutine ended, and may be called once.
func (g *Gate) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close releases the listeners of a Gate that was never run.
func (g *Gate) Close() error { return nil }
