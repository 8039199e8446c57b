package e2e

import (
	"io"
	"net"
	"sync"
)

// Front is a load balancer as simple as can be: each connection goes to the
// first of its backends that takes it.
type Front struct {
	listener net.Listener
	backends []string // host:port

	group sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]struct{}
}

// NewFront listens at an address and begins to serve.
func NewFront(backends []string, at string) (*Front, error) {
	l, err := net.Listen("tcp4", at)
	if err != nil {
		return nil, err
	}
	f := &Front{listener: l, backends: backends, open: map[net.Conn]struct{}{}}
	f.group.Go(f.serve)
	return f, nil
}

// URL is where it listens.
func (f *Front) URL() string { return "http://" + f.listener.Addr().String() }

// Close ends it and all its connections.
func (f *Front) Close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.group.Wait()
}

func (f *Front) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.group.Go(func() { f.carry(client) })
	}
}

// dial connects to a backend that lives, nil if none does.
func (f *Front) dial() net.Conn {
	for _, address := range f.backends {
		if c, err := net.Dial("tcp", address); err == nil {
			return c
		}
	}
	return nil
}

func (f *Front) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	backend := f.dial()
	if backend == nil {
		return
	}
	defer func() { _ = backend.Close() }()
	f.mu.Lock()
	f.open[client], f.open[backend] = struct{}{}, struct{}{}
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, pipe := range [][2]net.Conn{{client, backend}, {backend, client}} {
		both.Go(func() {
			_, _ = io.Copy(pipe[0], pipe[1])
			_ = client.Close()
			_ = backend.Close()
		})
	}
	both.Wait()
	f.mu.Lock()
	delete(f.open, client)
	delete(f.open, backend)
	f.mu.Unlock()
}
