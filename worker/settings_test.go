package worker

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

func TestSettingsDefaults(t *testing.T) {
	for given, want := range map[int]int{0: min(2*runtime.NumCPU(), signal.MaxRooms), 3: 3, 1 << 20: signal.MaxRooms} {
		if got := (Config{MaxRooms: given}).places(); got != want {
			t.Errorf("%d are %d places, want %d", given, got, want)
		}
	}
	if got := (Config{}).settings().lateLimit; got != latePerMille {
		t.Errorf("late are %d", got)
	}
}

// Places are more, and fewer, while games run; who waits hears of it.
func TestReconfigurePlaces(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.MaxRooms = 1 })
	b, _ := p.start("s1")
	p.link.ask("w", library.TestCardID, 9, true)
	wait(t, "somebody to wait", func() bool { return p.Status().Standing == 1 })
	if err := p.Reconfigure(Config{MaxRooms: 2, RoomGrace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if e := p.link.answerTo("w"); e.Type != signal.TypeReserved {
		t.Fatalf("who waits hears %s %s", e.Type, e.Data)
	}
	p.link.wantLoad(func(l signal.Load) bool { return l.Places == 2 })
	p.link.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: "w"})
	p.start("s2")
	if err := p.Reconfigure(Config{MaxRooms: 1}); err != nil {
		t.Fatal(err)
	}
	p.link.wantLoad(func(l signal.Load) bool { return l.Places == 1 && l.Free == 0 && l.Sessions == 2 })
	if r := refusal(t, p.link.reserve("t", library.TestCardID)); r.Code != signal.CodeFull {
		t.Errorf("refused with %v", r)
	}
	for range 3 {
		peertest.Wait(t, "a picture", b.Pictures)
	}
	if err := p.Reconfigure(Config{DrainGrace: -1}); err == nil || p.Status().Places != 1 {
		t.Errorf("a negative grace: %v", err)
	}
}

// Rooms have what was in force when they were opened, and a core that is added
// has its games listed.
func TestReconfigureRooms(t *testing.T) {
	core := filepath.Join(t.TempDir(), "x_libretro.so")
	if err := os.WriteFile(core, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := newPlay(t, func(c *Config) { c.Video.Scale, c.MaxRooms = 2, 3 })
	p.start("s1")
	if s := <-p.specs; s.Video.Scale != 2 {
		t.Errorf("spec %+v", s)
	}
	err := p.Reconfigure(Config{
		MaxRooms: 3, RoomGrace: 0, SystemDir: "bios", Video: engine.VideoSpec{Scale: 3}, Audio: engine.AudioSpec{Bitrate: 64_000}, LateLimit: 7,
		Cores: []library.Core{{System: "nes", Lib: core, Players: 2, Scale: 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, a := p.start("s2")
	if s := <-p.specs; s.Video.Scale != 3 || s.Audio.Bitrate != 64_000 || s.SystemDir != "bios" {
		t.Errorf("spec %+v", s)
	}
	if p.now().lateLimit != 7 {
		t.Error("the old limit of late frames")
	}
	peertest.Wait(t, "the channel", b.Open)
	p.link.send(signal.TypeLeave, "", "s2", nil) // ends the room, which has no grace
	wait(t, "the end of the room", func() bool { return p.rooms.find(a.Room) == nil })
	game := builtins()[0].Game.ID
	wait(t, "the games of the core", func() bool { return p.plays(game) })
	title, _ := p.library.Find(game)
	if title.Scale != 4 || title.Core != core {
		t.Errorf("title %+v", title)
	}
	p.ticket(game)
}
