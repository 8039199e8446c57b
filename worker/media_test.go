package worker

import (
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestMediaIsCounted: over all rooms, and viewers only while they are there.
func TestMediaIsCounted(t *testing.T) {
	p := newPlay(t, nil)
	if m := p.Media(); m.ViewersFast+m.ViewersFallback != 0 || m.Packets != 0 {
		t.Errorf("before anybody came: %+v", m)
	}
	a, one := p.start("s1")
	b, two := p.start("s2")
	if one.Room == two.Room {
		t.Fatal("one room for both")
	}
	for range 10 {
		peertest.Wait(t, "a picture", a.Pictures)
		peertest.Wait(t, "a picture", b.Pictures)
		peertest.Wait(t, "sound", b.Sounds)
	}
	m := p.Media()
	if m.ViewersFast != 2 || m.ViewersFallback != 0 {
		t.Errorf("%d viewers past pion, %d through it", m.ViewersFast, m.ViewersFallback)
	}
	if m.Frames < 20 || m.Sounds < 10 || m.Packets < m.Frames+m.Sounds || m.SealErrors+m.Unsent+m.WriteErrors+m.FramesRefused != 0 {
		t.Errorf("%+v", m.Counts)
	}
	var timed uint64
	for _, n := range m.Latency {
		timed += n
	}
	if timed < 20 || m.LatencySum <= 0 {
		t.Errorf("%d pictures timed, %v together", timed, m.LatencySum)
	}
	if s := p.Sockets(); len(s) != 1 || s[0].Packets < m.Packets || s[0].Received == 0 {
		t.Errorf("sockets %+v", s)
	}
	p.link.send(signal.TypeLeave, "", "s1", nil)
	b.Close()
	p.link.want(signal.TypeClosed, "s2")
	p.stop()
	if m := p.Media(); m.ViewersFast != 0 {
		t.Errorf("%d viewers after the end", m.ViewersFast)
	}
}
