package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/room"
)

// TestAFullWorkerGivesUpEmptyRooms: rooms that wait for somebody to come back
// do not keep others from playing; rooms that are played do.
func TestAFullWorkerGivesUpEmptyRooms(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.MaxRooms = 2 })
	_, kept := p.start("s1")
	for i := range 20 { // reloads before there was a picture: each leaves a room behind
		session := "reload" + string(rune('a'+i))
		p.start(session)
		<-p.engines
		<-p.specs
		p.link.send(signal.TypeLeave, "", session, nil)
	}
	b, last := p.start("s2")
	peertest.Wait(t, "a picture", b.Pictures)
	p.link.wantRooms(func(r []signal.Room) bool {
		return len(r) == 2 && (r[0].ID == kept.Room || r[1].ID == kept.Room) && (r[0].ID == last.Room || r[1].ID == last.Room)
	})
	if r := refusal(t, p.link.reserve("t", library.TestCardID)); r.Code != signal.CodeFull || !strings.Contains(r.Message, "all 2 places") {
		t.Errorf("third of two: %v", r)
	}
}

// TestABadOfferCostsNoProcess: no engine is made for it.
func TestABadOfferCostsNoProcess(t *testing.T) {
	p := newPlay(t, nil)
	p.link.send(signal.TypeStart, "1", "s1", signal.Start{Game: library.TestCardID, SDP: "hello"})
	p.link.want(signal.TypeError, "s1")
	if n := len(p.engines); n != 0 {
		t.Errorf("%d engines were made", n)
	}
}

// TestTheCauseOfAFailedStart: an engine that fails at once is not "no room".
func TestTheCauseOfAFailedStart(t *testing.T) {
	for err, code := range map[error]signal.Code{
		errors.Join(room.ErrClosed, signal.Errorf(signal.CodeFailed, "broken")): signal.CodeFailed,
		room.ErrClosed:                     signal.CodeNotFound,
		room.ErrFull:                       signal.CodeFull,
		peer.ErrClosed:                     signal.CodeNotFound,
		fmt.Errorf("%w: x", peer.ErrOffer): signal.CodeBadRequest,
		errors.New("other"):                signal.CodeFailed,
	} {
		if got := asError(err); got.Code != code {
			t.Errorf("%v is %v, want %v", err, got, code)
		}
	}
}

// TestScratch: a room has a folder to save in of its own, as long as it lives.
func TestScratch(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	core := filepath.Join(t.TempDir(), "x_libretro.so")
	if err := os.WriteFile(core, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := newPlay(t, func(c *Config) { c.Cores = []library.Core{{System: "nes", Lib: core, Players: 2}} })
	b := peertest.New(t, peertest.Options{})
	p.link.send(signal.TypeStart, "1", "s1", signal.Start{
		Game: builtins()[0].Game.ID, SDP: b.Offer(), Ticket: p.ticket(builtins()[0].Game.ID),
	})
	b.Accept(answer(t, p.link.want(signal.TypeAnswer, "s1")).SDP)
	dir := (<-p.specs).SaveDir
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Fatalf("folder %q: %v, %v", dir, info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "battery.sav"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	(<-p.engines).Fail(errors.New("over"))
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 0 })
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestScratchIsNotForAll(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	log := slog.New(slog.DiscardHandler)
	for _, spec := range []engine.Spec{{Kind: engine.KindTestCard}, {Kind: engine.KindLibretro, SaveDir: "saves"}} {
		before := spec.SaveDir
		remove, err := scratch(log, &spec)
		if err != nil || spec.SaveDir != before {
			t.Fatalf("%+v: %v", spec, err)
		}
		remove()
	}
	if _, err := scratch(log, &engine.Spec{Kind: engine.KindLibretro}); err == nil {
		t.Error("a folder in a folder that does not exist")
	}
}

// TestEndingRoomsAreBounded: rooms that take their time to end are beside those
// that play only up to a number; the place of who comes then is given back.
func TestEndingRoomsAreBounded(t *testing.T) {
	hold := make(chan struct{}) // engines that take their time to end
	var free sync.Once
	release := func() { free.Do(func() { close(hold) }) }
	p := newPlay(t, func(c *Config) { c.MaxRooms = 1 })
	t.Cleanup(release)
	p.hold.Store(&hold)
	begin := func(session string) {
		p.link.send(signal.TypeStart, "1", session, signal.Start{
			Game: library.TestCardID, SDP: peertest.New(t, peertest.Options{}).Offer(), Ticket: p.ticket(library.TestCardID),
		})
	}
	bound := 2*p.cfg.MaxRooms + maxEnding
	for i := range bound {
		session := fmt.Sprintf("s%d", i)
		begin(session)
		p.link.want(signal.TypeAnswer, session)
		p.link.send(signal.TypeLeave, "", session, nil)
		<-p.engines
		<-p.specs
	}
	begin("more")
	if r := refusal(t, p.link.want(signal.TypeError, "more")); r.Code != signal.CodeFull {
		t.Errorf("one more than the bound: %v", r)
	}
	if s := p.Status(); s.Rooms != bound || s.Free != 1 {
		t.Errorf("Status = %+v", s)
	}
	begin("again")
	release()
	p.link.want(signal.TypeAnswer, "again")
}
