package check

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"
)

// worker is a peer that answers STUN Binding requests as a worker does, each
// keep-th one; 0 answers none.
func worker(t *testing.T, keep int) netip.AddrPort {
	t.Helper()
	return answerProbes(t, listenUDP(t), keep)
}

func answerProbes(t *testing.T, conn *net.UDPConn, keep int) netip.AddrPort {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, maxFrame)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: append([]byte(nil), buffer[:size]...)}
			if m.Decode() != nil || m.Type != stun.BindingRequest || keep == 0 || n%keep != 0 {
				continue
			}
			answer := stun.MustBuild(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
				&stun.XORMappedAddress{IP: from.IP, Port: from.Port})
			_, _ = conn.WriteTo(answer.Raw, from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return addrPort(conn.LocalAddr())
}

func TestWorker(t *testing.T) {
	cfg := quick(overUDP(t, nil))
	cfg.Worker = worker(t, 1)
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate peer data")
	if r.Data.Sent < 10 || r.Data.Answered < r.Data.Sent*9/10 {
		t.Errorf("data %+v", r.Data)
	}
}

func TestWorkerLosesPackets(t *testing.T) {
	cfg := quick(overUDP(t, nil))
	cfg.Worker, cfg.Timeout = worker(t, 2), 5*time.Second
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate peer data!")
	wantCause(t, r, 0, "not answered", "--bitrate")
	if loss := r.Data.Loss(); loss < 0.4 || loss > 0.6 {
		t.Errorf("loss %v, want a half", loss)
	}
}

func TestWorkerSilent(t *testing.T) {
	cfg := quick(overUDP(t, nil))
	cfg.Worker, cfg.Timeout = worker(t, 0), 5*time.Second
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate peer data!")
	wantCause(t, r, 0, cfg.Worker.String()+" does not answer")
}

// Where packets to this machine are lost: before its socket, or behind it.
func TestOwnPeerSilent(t *testing.T) {
	r := &run{peer: &ownPeer{seen: netip.MustParseAddrPort("192.0.2.1:1")}}
	var leg Leg
	leg.blame(r.judge(Data{Sent: 10}))
	wantCause(t, Report{Legs: []Leg{leg}}, 0, "does not reach this machine at 192.0.2.1:1", "--worker")
	r.peer.got.Add(1)
	leg.blame(r.judge(Data{Sent: 10}))
	wantCause(t, Report{Legs: []Leg{leg}}, 0, "does not come back", "turn.relayAddress")
}

func TestFlow(t *testing.T) {
	f := newFlow(4)
	other := newFlow(4)
	other.tag = f.tag + 1
	request := &stun.Message{Raw: append([]byte(nil), f.next(3)[channelHeader:]...)}
	if err := request.Decode(); err != nil || request.Type != stun.BindingRequest || len(request.Raw) != packetSize {
		t.Fatalf("the payload is %v, %v", request, err)
	}
	if len(request.Attributes) != 1 || request.Attributes[0].Type.Required() {
		t.Errorf("attributes %v, want one that may be ignored", request.Attributes)
	}
	if n, ok := f.number(f.next(3)); !ok || n != 3 {
		t.Errorf("number %d, %v; want 3", n, ok)
	}
	for what, frame := range map[string][]byte{
		"too great a number": append([]byte(nil), f.next(4)...), "a negative number": append([]byte(nil), f.next(-1)...),
		"too short": f.next(0)[:channelHeader+stunHeader-1], "empty": nil,
	} {
		if _, ok := f.number(frame); ok {
			t.Errorf("%s is taken", what)
		}
	}
	other.next(0)[channelHeader+8]++
	if _, ok := f.number(other.next(0)); ok {
		t.Error("a packet of another flow is taken")
	}
}

func TestMeasured(t *testing.T) {
	f := newFlow(100)
	for i := range 99 {
		f.trips = append(f.trips, time.Duration(99-i)*time.Millisecond)
	}
	f.sent.Store(100)
	d := f.measured(time.Second)
	if d.Median != 50*time.Millisecond || d.P95 != 94*time.Millisecond || d.Longest != 99*time.Millisecond {
		t.Errorf("%+v", d)
	}
	if loss := d.Loss(); loss < 0.0099 || loss > 0.0101 || d.Throughput != 99*8*packetSize {
		t.Errorf("loss %v, throughput %v", loss, d.Throughput)
	}
	if (Data{}).Loss() != 0 {
		t.Error("nothing sent is no loss")
	}
}

func FuzzNumber(f *testing.F) {
	f.Add(newFlow(1).next(0))
	f.Add([]byte{0x40, 0})
	flow := newFlow(16)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if n, ok := flow.number(frame); ok && (n < 0 || n >= 16) {
			t.Errorf("number %d", n)
		}
	})
}

// A channel's frames over a stream and over datagrams are read whole, whatever
// the pieces that they come in.
func TestLink(t *testing.T) {
	client, far := net.Pipe()
	defer func() { _ = client.Close() }()
	l := newLink(client, true)
	frames := append(append([]byte{0x40, 0, 0, 3, 'a', 'b', 'c', 0}, 0, 1, 0, 4), make([]byte, 20)...)
	go func() {
		for _, b := range frames {
			_, _ = far.Write([]byte{b})
		}
		_ = far.Close()
	}()
	buffer := make([]byte, maxFrame)
	for _, want := range []int{7, 24} {
		if n, err := l.receive(buffer); err != nil || n != want {
			t.Errorf("frame of %d bytes, %v; want %d", n, err, want)
		}
	}
	if _, err := l.receive(buffer); err == nil {
		t.Error("the end of the stream is no error")
	}
}
