package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// pipe is a connection whose Reads and Writes are messages, as those of DTLS.
type pipe struct {
	net.Conn
	in, out   chan []byte
	deadlines chan time.Time
	closed    chan struct{}
	remote    net.Addr
}

func newPipe() *pipe {
	return &pipe{
		in: make(chan []byte, 100), out: make(chan []byte, 100), deadlines: make(chan time.Time, 100),
		closed: make(chan struct{}), remote: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5},
	}
}

func (p *pipe) Read(b []byte) (int, error) {
	select {
	case m := <-p.in:
		return copy(b, m), nil
	case <-p.closed:
		return 0, io.EOF
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	p.out <- bytes.Clone(b)
	return len(b), nil
}

func (p *pipe) Close() error {
	close(p.closed)
	return nil
}
func (p *pipe) RemoteAddr() net.Addr               { return p.remote }
func (p *pipe) SetWriteDeadline(time.Time) error   { return nil }
func (p *pipe) SetReadDeadline(at time.Time) error { p.deadlines <- at; return nil }

// pipes is a net.Listener for pipes; an error first.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	failed bool
}

func (p *pipes) Accept() (net.Conn, error) {
	if !p.failed {
		p.failed = true
		return nil, errors.New("too many files")
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}
func (p *pipes) Addr() net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 5349} }

// messageConn lets client speak through a pipe.
type messageConn struct{ *pipe }

func (m messageConn) Read(b []byte) (int, error) {
	select {
	case p := <-m.out:
		return copy(b, p), nil
	case <-m.closed:
		return 0, io.EOF
	}
}

func (m messageConn) Write(b []byte) (int, error) {
	m.in <- bytes.Clone(b)
	return len(b), nil
}
func (m messageConn) SetReadDeadline(time.Time) error { return nil }
func (m messageConn) Close() error                    { return nil }
