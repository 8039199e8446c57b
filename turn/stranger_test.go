package turn

import (
	"testing"
	"time"

	"github.com/pion/stun"
)

// unrun is a door of a gate that is not running, for calls of its own functions.
func unrun(t testing.TB) *door {
	t.Helper()
	g, err := New(Config{Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	d := g.doors[0]
	d.from = d.LocalAddr()
	return d
}

// However fast strangers ask, memory does not grow by it.
func TestThrottledStrangersAllocateNothing(t *testing.T) {
	d, now := unrun(t), time.Now()
	allocate := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP()).Raw
	binding := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	for range strangerBurst {
		d.handle(allocate, now)
	}
	for name, p := range map[string][]byte{"allocate": allocate, "binding": binding, "garbage": []byte("garbage"), "data": {0x40, 0, 0, 1, 0}} {
		if n := testing.AllocsPerRun(100, func() { d.handle(p, now) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if answered := d.refused[RefusedChallenge].Load(); answered != strangerBurst {
		t.Errorf("%d strangers were answered", answered)
	}
}

// Whatever a stranger sends, pion/turn is handed no more than a Binding request.
func FuzzStranger(f *testing.F) {
	d, now := unrun(f), time.Now()
	client := d.Request().Client
	for _, m := range []*stun.Message{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peerAt("192.0.2.1:1"), stun.RawAttribute{Type: stun.AttrData}),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP(), stun.NewUsername("9999999999:a"),
			stun.NewRealm(defaultRealm), stun.NewNonce(d.gate.nonces.mint(client, now)), stun.MessageIntegrity("guess")),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodConnect, stun.ClassRequest), stun.RawAttribute{Type: stun.AttrMessageIntegrity}),
	} {
		f.Add(m.Raw)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		now = now.Add(time.Second) // so that all is answered
		out, _ := d.handle(p, now)
		if out != nil && (len(out) < 20 || out[0] != 0 || out[1] != 1) {
			t.Errorf("%x is handed on as %x", p, out)
		}
	})
}

// What a stranger costs that is not answered, and one that is.
func BenchmarkStranger(b *testing.B) {
	for _, answered := range []bool{false, true} {
		b.Run(map[bool]string{false: "throttled", true: "challenged"}[answered], func(b *testing.B) {
			d, now := unrun(b), time.Now()
			p := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP()).Raw
			b.ReportAllocs()
			for b.Loop() {
				if answered {
					now = now.Add(time.Second)
				}
				d.handle(p, now)
			}
		})
	}
}
