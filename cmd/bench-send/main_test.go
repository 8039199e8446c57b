package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets this binary be the child processes, too.
func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := serve(what, os.Stdin, os.Stdout); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newBench(t *testing.T, only string) (*bench, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	return &bench{
		out: out, progress: t.Output(), only: regexp.MustCompile(only),
		reps: 2, packets: 200, seconds: 1, began: time.Now(),
	}, out
}

func lines(t *testing.T, out *bytes.Buffer) []line {
	t.Helper()
	var all []line
	for text := range strings.Lines(out.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, l)
	}
	return all
}

func TestUnread(t *testing.T) {
	b, out := newBench(t, "^loopback, 2 viewers")
	if err := b.unread(t.Context(), b.loopbacks()[:1], 2, []int{2000}); err != nil {
		t.Fatal(err)
	}
	got := lines(t, out)
	if len(got) != 3 || got[0].PeerName != baselineName || got[1].PeerName != floorName || got[2].PeerName != atOnceName {
		t.Fatalf("lines %+v, want one against the baseline and two against the floor", got)
	}
	for _, l := range got {
		for name, d := range map[string]detail{"ours": l.Details.Ours, "peer": l.Details.Peer} {
			if d.NsPerPacket <= 0 || d.PacketsPerFrame < 8 || d.PacketsPerFrame > 9 || d.Syscalls <= 0 || d.Syscalls > 1 {
				t.Errorf("%s: %s cost %+v; a picture of 4166 bytes for two viewers is 8 packets", l.PeerName, name, d)
			}
		}
	}
	if base := got[0].Details.Peer; base.Segments != 1 || base.Syscalls != 1 {
		t.Errorf("the baseline sent %v packets a message, %v calls a packet; pion sends one by one", base.Segments, base.Syscalls)
	}
	if floor := got[1].Details.Peer; floor.Segments != 4 || floor.Allocs > 0.1 {
		t.Errorf("the floor sent %v packets a message with %v allocations, want 4 and none", floor.Segments, floor.Allocs)
	}
}

func TestLive(t *testing.T) {
	b, out := newBench(t, ".")
	l := live{viewers: 2, kbits: 2000, loss: 0.02}
	if err := b.liveCase(t.Context(), b.loopbacks()[0], l); err != nil {
		t.Fatal(err)
	}
	got := lines(t, out)
	if len(got) != 1 {
		t.Fatalf("%d lines, want one", len(got))
	}
	for name, s := range got[0].Viewers {
		if s.Frames != fps || s.Bad != 0 || s.Good+s.Missing != 2*fps || s.Good < fps {
			t.Errorf("%s: viewers saw %+v of %d pictures each", name, *s, fps)
		}
	}
}

func TestNobodyWanted(t *testing.T) {
	b, out := newBench(t, "no such case")
	if err := b.unread(t.Context(), b.loopbacks()[:1], 1, []int{2000}); err != nil || out.Len() > 0 {
		t.Errorf("a case that nobody asked for: %v, printed %q", err, out)
	}
}

func TestChildEndsWithItsInput(t *testing.T) {
	c, err := start(t.Context(), nil, role{Name: "receivers", IP: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(request{Do: "dance"}); err == nil || !strings.Contains(err.Error(), `unknown request "dance"`) {
		t.Errorf("an unknown request: %v", err)
	}
	res, err := c.call(request{Do: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := netip.ParseAddrPort(res.Addr); err != nil {
		t.Errorf("sink at %q: %v", res.Addr, err)
	}
	c.Close()
	if !c.cmd.ProcessState.Success() {
		t.Errorf("the child ended with %v", c.cmd.ProcessState)
	}
	if _, err := c.call(request{Do: "sink"}); err == nil {
		t.Error("a child that has ended answers")
	}
}

func TestUnknownRole(t *testing.T) {
	if err := serve(`{"Name":"nobody"}`, strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Error("a role that does not exist was taken")
	}
	if err := serve("{", strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Error("a role that is no JSON was taken")
	}
}

func TestHosts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may make network namespaces")
	}
	h, err := newHosts(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: no network namespaces here: %v", err)
	}
	defer h.Close()
	for _, n := range []int{1, 64} {
		if err := h.segment(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		words := append(inside(h.sender), "ip", "-d", "link", "show", "veth0")
		shown, err := exec.Command(words[0], words[1:]...).Output()
		if err != nil || !regexp.MustCompile(`gso_max_segs `+map[int]string{1: "1", 64: "64"}[n]+`\b`).Match(shown) {
			t.Errorf("after segment(%d): %v\n%s", n, err, shown)
		}
	}
	h.Close()
	left, err := exec.Command("ip", "netns", "list").Output()
	if err != nil || strings.Contains(string(left), h.sender) || strings.Contains(string(left), h.receiver) {
		t.Errorf("left behind: %s%v", left, err)
	}
}

func TestIsRTP(t *testing.T) {
	packet := func(first, second byte) []byte { return append([]byte{first, second}, make([]byte, 18)...) }
	for name, tt := range map[string]struct {
		b    []byte
		want bool
	}{
		"video":           {packet(0x90, 102), true},
		"video, marker":   {packet(0x80, 0x80|102), true},
		"sender report":   {packet(0x80, 200), false},
		"NACK":            {packet(0x81, 205), false},
		"STUN":            {packet(0, 1), false},
		"DTLS":            {packet(22, 254), false},
		"short":           {packet(0x80, 102)[:12], false},
		"nothing":         {nil, false},
		"TURN's channels": {packet(0x40, 0), false},
	} {
		if got := isRTP(tt.b); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestLossyConn(t *testing.T) {
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	r := newReceivers("127.0.0.1")
	r.loss.Store(1 << 32) // all of it
	c := &lossyConn{UDPConn: in, owner: r}
	to := in.LocalAddr().(*net.UDPAddr)
	rtp := append([]byte{0x80, 102}, make([]byte, 30)...)
	for _, b := range [][]byte{rtp, rtp, []byte("STUN, say")} {
		if _, err := in.WriteTo(b, to); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	if n, _, err := c.ReadFrom(buf); err != nil || string(buf[:n]) != "STUN, say" {
		t.Errorf("read %q, %v; RTP must be lost and nothing else", buf[:n], err)
	}
	if n := r.lost.Load(); n != 2 {
		t.Errorf("%d packets counted as lost, want 2", n)
	}
}

func TestSides(t *testing.T) {
	run := func(packets uint64, cpu time.Duration) figures {
		return figures{counts: counts{Packets: packets, Messages: packets / 2, Syscalls: packets / 4}, User: cpu / 2, System: cpu / 2, Last: 9, Wall: 2 * cpu}
	}
	ours := &side{runs: []figures{run(1000, time.Millisecond), run(1000, 4*time.Millisecond), run(1000, 2*time.Millisecond)}}
	peer := &side{runs: []figures{run(1000, 8*time.Millisecond), run(1000, 36*time.Millisecond), run(1000, 20*time.Millisecond)}}
	if got := ours.times(peer); got != 9 { // of 8, 9 and 10
		t.Errorf("ratio %v, want 9: the median over neighbouring runs", got)
	}
	d := ours.detail()
	if d.NsPerPacket != 2000 || d.Segments != 2 || d.Syscalls != 0.25 || d.PacketsPerFrame != 100 || d.PercentOfOneCore != 50 {
		t.Errorf("details %+v", d)
	}
}
