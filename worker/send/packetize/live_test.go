package packetize_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

const (
	livePayloadType = 96
	liveLimit       = 1200
	liveSSRC        = 0x5eed
)

// rtpPackets cuts a clip as the send path does: one picture after the other, the
// marker on the last packet of each. Clock is in Hz.
func rtpPackets(t *testing.T, clip packetizetest.Clip, clock int) [][]byte {
	t.Helper()
	var packets [][]byte
	var f packetize.Frame
	for i, picture := range clip.Pictures {
		if err := f.Split(clip.Codec, picture, liveLimit, uint16(i+32700)); err != nil {
			t.Fatal(err)
		}
		for j := range f.Len() {
			p := rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: livePayloadType, SSRC: liveSSRC,
				SequenceNumber: uint16(len(packets) + 65000), // rolls over
				Timestamp:      uint32(i * clock / clip.Rate),
				Marker:         j == f.Len()-1,
			}, Payload: f.Payload(j)}
			b, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, b)
		}
	}
	return packets
}

// receiver is a program that listens for RTP on a port of its own.
type receiver struct {
	port     int
	out, err bytes.Buffer
	done     chan error
}

// start runs the program that command returns for a free port, until the test
// ends at the latest.
func start(t *testing.T, command func(ctx context.Context, port int) *exec.Cmd) *receiver {
	t.Helper()
	r := &receiver{port: freePorts(t), done: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	cmd := command(ctx, r.port)
	cmd.Stdout, cmd.Stderr = &r.out, &r.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- cmd.Wait(); close(r.done) }()
	t.Cleanup(func() {
		cancel()
		for range r.done { // until it has ended
		}
	})
	return r
}

// freePorts returns an even port on loopback that is free, as is the next (RTCP).
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		rtpSide, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := rtpSide.LocalAddr().(*net.UDPAddr).Port
		rtcpSide, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		rtpSide.Close()
		if err == nil {
			rtcpSide.Close()
			if port%2 == 0 {
				return port
			}
		}
	}
	t.Fatal("no two free ports")
	return 0
}

// socket returns what the kernel says about the receiver's socket (proc(5),
// /proc/net/udp): bytes that wait in it and datagrams that it dropped.
func (r *receiver) socket(t *testing.T) (waiting, dropped int, bound bool) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Skipf("SKIPPED, NOT CHECKED: %v", err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 13 || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", r.port)) {
			continue
		}
		_, queue, _ := strings.Cut(fields[4], ":")
		n, err := strconv.ParseInt(queue, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		d, err := strconv.Atoi(fields[12])
		if err != nil {
			t.Fatal(err)
		}
		return int(n), d, true
	}
	return 0, 0, false
}

// wait polls the receiver's socket for a condition.
func (r *receiver) wait(t *testing.T, what string, ok func(waiting int, bound bool) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		waiting, dropped, bound := r.socket(t)
		if dropped > 0 {
			t.Fatalf("the receiver's socket dropped %d datagrams", dropped)
		}
		if ok(waiting, bound) {
			return
		}
		select {
		case err := <-r.done:
			t.Fatalf("ended before %s: %v\n%s", what, err, r.err.Bytes())
		case <-tick.C:
		}
	}
	t.Fatalf("never %s\n%s", what, r.err.Bytes())
}

// play sends the packets, never more than its socket can hold, and then, to the
// port above, the last words.
func (r *receiver) play(t *testing.T, packets [][]byte, last []byte) {
	t.Helper()
	r.wait(t, "listening", func(_ int, bound bool) bool { return bound })
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, p := range packets {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
		if i%8 == 7 && i < len(packets)-1 {
			r.wait(t, "reading", func(waiting int, _ bool) bool { return waiting < 64<<10 })
		}
	}
	if last == nil {
		return
	}
	r.wait(t, "done reading", func(waiting int, _ bool) bool { return waiting == 0 })
	other, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.port + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Write(last); err != nil {
		t.Fatal(err)
	}
}

// end waits for the program and returns what it printed.
func (r *receiver) end(t *testing.T) []byte {
	t.Helper()
	if err, ok := <-r.done; ok && err != nil {
		t.Fatalf("receiver: %v\n%s", err, r.err.Bytes())
	}
	if r.err.Len() > 0 {
		t.Logf("receiver says: %s", r.err.Bytes())
	}
	return r.out.Bytes()
}
