package e2e

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"
)

// ends are a browser and a worker with a path between them.
type ends struct {
	*Lossy
	browser, worker *net.UDPConn
}

func newEnds(t *testing.T, path Path) ends {
	t.Helper()
	loopback := net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	worker, err := net.ListenUDP("udp4", &loopback)
	if err != nil {
		t.Fatal(err)
	}
	lossy, err := NewLossy(worker.LocalAddr().(*net.UDPAddr).AddrPort(), path)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: loopback.IP, Port: lossy.Port()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- lossy.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, _ = browser.Close(), worker.Close()
	})
	return ends{lossy, browser, worker}
}

// read gives the numbers in n datagrams, and where the last one came from.
func read(t *testing.T, c *net.UDPConn, n int) (got []uint32, from *net.UDPAddr) {
	t.Helper()
	var b [4]byte
	for range n {
		if err := c.SetReadDeadline(time.Now().Add(patient)); err != nil {
			t.Fatal(err)
		}
		_, addr, err := c.ReadFromUDP(b[:])
		if err != nil {
			t.Fatal(err)
		}
		got, from = append(got, binary.BigEndian.Uint32(b[:])), addr
	}
	return got, from
}

// TestLossyKeepsAll sends both ways without loss: everything comes, in order, not
// before the delay is over.
func TestLossyKeepsAll(t *testing.T) {
	e := newEnds(t, Path{Delay: 5 * time.Millisecond})
	begun := time.Now()
	for i := range uint32(50) {
		_, _ = e.browser.Write(binary.BigEndian.AppendUint32(nil, i))
	}
	got, from := read(t, e.worker, 50)
	if !slices.IsSorted(got) {
		t.Errorf("the worker got %v", got)
	}
	if since := time.Since(begun); since < 5*time.Millisecond {
		t.Errorf("it took %v", since)
	}
	_, _ = e.worker.WriteToUDP([]byte{0, 0, 0, 7}, from)
	if got, _ := read(t, e.browser, 1); got[0] != 7 {
		t.Errorf("the browser got %v", got)
	}
	eventually(t, "the count of it", func() bool { return e.Counts() == Loss{Up: 50, Down: 1} }) // which follows
}

// TestLossyLoses sends through the same bad path twice: the same datagrams are
// lost, and about as many as they should.
func TestLossyLoses(t *testing.T) {
	var runs [2][]uint32
	for run := range runs {
		e := newEnds(t, Path{Loss: 0.2, Seed: 7})
		for i := range uint32(150) { // no kernel buffer overflows with so many
			_, _ = e.browser.Write(binary.BigEndian.AppendUint32(nil, i))
		}
		eventually(t, "all of them", func() bool { return e.Counts().Up == 150 })
		lost := int(e.Counts().UpLost)
		if lost < 15 || lost > 50 {
			t.Errorf("%d of 150 are lost", lost)
		}
		runs[run], _ = read(t, e.worker, 150-lost)
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("the same seed loses other datagrams")
	}
}
