package coordinator

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// messages are examples of all that is said, with ids that the fuzzed coordinator knows.
func messages(f *testing.F) (all [][]byte) {
	names, err := filepath.Glob("signal/testdata/messages/*.json")
	if err != nil || len(names) == 0 {
		f.Fatal("no examples", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, bytes.ReplaceAll(bytes.TrimSpace(data), []byte("\n"), nil))
	}
	return all
}

const knownRoom = "abcdefghijklmnopqrstuvwxyz"

// besieged is a coordinator with a worker that has a room, another worker, and a page.
func besieged() (c *Coordinator, other *workerLink, page *browser) {
	c = bare()
	c.registry.enroll(link("w", loose(), nil), games("pong"), signal.Room{ID: knownRoom, Game: "pong"})
	other = link("other", loose(), occupied)
	c.registry.enroll(other, games("golf"))
	sock := loose()
	return c, other, &browser{c: c, sock: sock, session: c.sessions.open(sock, "", nil), bucket: newBucket(1, 1e9, time.Now())}
}

// fit checks that all that waits to be sent is what the other side takes.
func fit(t *testing.T, socks ...*socket) {
	t.Helper()
	for _, s := range socks {
		for _, data := range s.queue {
			e, err := signal.Decode(data, signal.MaxInternal)
			if err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if e.Type == signal.TypeError {
				if _, err := signal.Read[signal.Error](e); err != nil {
					t.Errorf("%s: %v", data, err)
				}
			}
		}
	}
}

// FuzzFromWorker: whatever a worker says that knows the secret, what others have
// said stays.
func FuzzFromWorker(f *testing.F) {
	all := messages(f)
	for _, data := range all {
		f.Add(data)
	}
	f.Add(bytes.Join(all, []byte("\n")))
	f.Add([]byte(`{"v":1,"type":"rooms","data":{"rooms":[{"id":"` + knownRoom + `","game":"golf"}]}}`))
	f.Add(encode(signal.TypeLibrary, "", "", signal.Library{Digest: signal.LibraryDigest(games("tennis")), Put: games("tennis")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		c, other, page := besieged()
		page.handle(ctx, encode(signal.TypeStart, "1", "", signal.Start{Game: "golf"}), nil) // waits in line
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			e, err := signal.Decode(line, signal.MaxInternal)
			if err == nil {
				err = c.fromWorker(other, e)
			}
			if err != nil {
				if refusal := signal.AsError(err); refusal.Validate() != nil {
					t.Errorf("refused with %v", refusal)
				}
			}
		}
		if w, _ := c.registry.forRoom(knownRoom); w == nil || w.id != "w" {
			t.Error("the room of another is gone")
		}
		if all := c.registry.workersView(); len(all) != 2 || len(c.registry.roomsView()) > signal.MaxRooms {
			t.Errorf("%+v", all)
		}
		_ = c.registry.games.Load()
		cancel()
		c.requests.Wait()
		fit(t, page.sock, other.sock)
		if !c.registry.removeWorker(other) || c.registry.totals().Rooms != 1 || len(c.registry.libraries.wanted) != 0 {
			t.Errorf("it leaves %+v", c.registry.totals())
		}
	})
}

// FuzzFromPage: whatever a page says, it is answered in form, and nothing of it
// is left when it has gone.
func FuzzFromPage(f *testing.F) {
	all := messages(f)
	for _, data := range all {
		f.Add(data, false)
	}
	f.Add(bytes.Join(all, []byte("\n")), false)
	f.Add([]byte(`{"v":1,"type":"start","id":"1","data":{"game":"golf"}}`), true)
	f.Add([]byte(`{"v":1,"type":"join","id":"1","data":{"room":"`+knownRoom+`","sdp":"v=0"}}`+"\n"+`{"v":1,"type":"leave"}`), false)
	token := signal.MintToken(secret, signal.Session{ID: "s", Worker: "w", Room: knownRoom, Expires: 1 << 40})
	f.Add(encode(signal.TypeResume, "1", "", signal.Resume{Token: token}), false)
	f.Fuzz(func(t *testing.T, data []byte, stranger bool) {
		ctx, cancel := context.WithCancel(t.Context())
		c, other, page := besieged()
		page.stranger = stranger
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			page.handle(ctx, line, nil)
		}
		cancel()
		c.requests.Wait()
		fit(t, page.sock, other.sock, c.registry.worker("w").sock)
		c.sessions.lose(page.session, page.sock, time.Now())
		c.sessions.sweep(time.Now().Add(2 * sessionGrace))
		if n := c.sessions.count(); n != 0 || c.queue.length() != 0 || len(c.sessions.byWorker) != 0 {
			t.Errorf("%d sessions and %d tickets are left", n, c.queue.length())
		}
	})
}
