package peertest

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/pion/ice/v2"
)

// Cable is a browser's way to the network on loopback, which can be pulled out.
type Cable struct {
	net.PacketConn
	out atomic.Bool
}

// NewCable makes one that is plugged in; its socket is closed when the test ends.
func NewCable(tb testing.TB) *Cable {
	tb.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return &Cable{PacketConn: conn}
}

// Pull takes the cable out, or puts it in again: what is sent meanwhile either
// way is lost.
func (c *Cable) Pull(out bool) { c.out.Store(out) }

// ReadFrom is that of the socket while the cable is in.
func (c *Cable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return n, from, io.EOF // pion would log anything else
		}
		if err != nil || !c.out.Load() {
			return n, from, err
		}
	}
}

// WriteTo is that of the socket while the cable is in.
func (c *Cable) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.out.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c *Cable) mux() ice.UDPMux { return ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c}) }
