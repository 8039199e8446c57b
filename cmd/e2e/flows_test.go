package e2e

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// flows is a UDP road to a server that keeps, as a NAT does, a socket for each of
// its clients. It may forget them: what they send then is lost for good.
type flows struct {
	t     *testing.T
	to    netip.AddrPort
	front *net.UDPConn
	mu    sync.Mutex
	deaf  bool                            // what begins now leads nowhere, for good
	loses bool                            // what is sent now
	ways  map[netip.AddrPort]*net.UDPConn // closed ones are cut
	ended sync.WaitGroup
}

func newFlows(t *testing.T, to netip.AddrPort) *flows {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f := &flows{t: t, to: to, front: front, ways: map[netip.AddrPort]*net.UDPConn{}}
	f.ended.Go(f.up)
	t.Cleanup(func() {
		_ = front.Close()
		f.cut()
		f.ended.Wait()
	})
	return f
}

// address is where clients find the server.
func (f *flows) address() netip.AddrPort { return f.front.LocalAddr().(*net.UDPAddr).AddrPort() }

// cut ends all flows there are.
func (f *flows) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, way := range f.ways {
		_ = way.Close()
	}
}

// hear says whether flows that begin from now on lead to the server.
func (f *flows) hear(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = !on
}

// lose says whether all that clients send from now on is lost.
func (f *flows) lose(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loses = on
}

// count is the number of flows so far.
func (f *flows) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ways)
}

func (f *flows) up() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := f.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if way := f.way(from); way != nil {
			_, _ = way.Write(buf[:n]) // lost if it is cut
		}
	}
}

// way is the socket of a client, which is made when it is first heard of; nil if
// what it sends is lost.
func (f *flows) way(from netip.AddrPort) *net.UDPConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loses {
		return nil
	}
	if way := f.ways[from]; way != nil {
		return way
	}
	way, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(f.to))
	if err != nil {
		f.t.Errorf("open a flow: %v", err)
		return nil
	}
	f.ways[from] = way
	if f.deaf {
		_ = way.Close()
	}
	f.ended.Go(func() { f.down(way, from) })
	return way
}

func (f *flows) down(way *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		n, err := way.Read(buf)
		if err != nil {
			return
		}
		_, _ = f.front.WriteToUDPAddrPort(buf[:n], client)
	}
}
