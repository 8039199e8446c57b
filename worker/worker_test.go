package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of some length"

func TestRegister(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.IPMap = []string{"198.51.100.7"} })
	r := p.link.register
	if r.Name != "test" || r.Zone != "here" || len(r.Rooms) != 0 || r.Probe != "" {
		t.Errorf("Register = %+v", r)
	}
	if want := (signal.Load{State: signal.StateReady, Places: 2, Free: 2}); r.Load != want {
		t.Errorf("load %+v", r.Load)
	}
	if r.Library != signal.LibraryDigest(p.library.Games()) {
		t.Errorf("library %s", r.Library)
	}
	want := []string{fmt.Sprintf("127.0.0.1:%d", p.MediaPort()), fmt.Sprintf("198.51.100.7:%d", p.MediaPort())}
	if strings.Join(r.MediaAddrs, " ") != strings.Join(want, " ") {
		t.Errorf("media addresses %v, want %v", r.MediaAddrs, want)
	}
}

func TestStartJoinLeave(t *testing.T) {
	p := newPlay(t, nil)
	host, a := p.start("s1")
	if a.Player != 1 || a.Seats != 4 || a.Game != library.TestCardID || !signal.ValidRoomID(a.Room) {
		t.Errorf("answer %+v", a)
	}
	if spec := <-p.specs; spec.Kind != engine.KindTestCard {
		t.Errorf("spec %+v", spec)
	}
	if pic := peertest.Wait(t, "a picture", host.Pictures); !pic.Key {
		t.Error("the first picture is no key frame")
	}
	guest, b := p.join("s2", a.Room, 3)
	if b.Player != 3 {
		t.Errorf("guest has seat %d", b.Player)
	}
	peertest.Wait(t, "a picture", guest.Pictures)
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Players == 2 && r[0].ID == a.Room })

	p.link.send(signal.TypeLeave, "", "s2", nil)
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Players == 1 })
	host.Close()
	if c := p.link.want(signal.TypeClosed, "s1"); len(c.Data) == 0 {
		t.Error("closed without a reason")
	}
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Players == 0 })
	if s := p.Status(); s.Rooms != 1 || s.Coordinators != 1 || s.Games != 1 {
		t.Errorf("Status = %+v", s)
	}
}

func TestRefusals(t *testing.T) {
	p := newPlay(t, nil)
	host, a := p.start("s1")
	offer := peertest.New(t, peertest.Options{}).Offer()
	tests := []struct {
		name    string
		kind    signal.Type
		session string
		payload any
		code    signal.Code
	}{
		{"no such game", signal.TypeStart, "t1", signal.Start{Game: "nothing", SDP: offer}, signal.CodeNotFound},
		{"no place", signal.TypeStart, "t1", signal.Start{Game: library.TestCardID, SDP: offer, Ticket: "x"}, signal.CodeExpired},
		{"game with slashes", signal.TypeStart, "t1", signal.Start{Game: "../x", SDP: offer}, signal.CodeBadRequest},
		{"no SDP", signal.TypeStart, "t1", signal.Start{Game: library.TestCardID}, signal.CodeBadRequest},
		{"SDP is text", signal.TypeStart, "t1", signal.Start{Game: library.TestCardID, SDP: "hello"}, signal.CodeBadRequest},
		{"no H.264", signal.TypeStart, "t1", signal.Start{
			Game: library.TestCardID, SDP: peertest.New(t, peertest.Options{Profiles: []string{"f4001f"}}).Offer(),
			Ticket: p.ticket(library.TestCardID),
		}, signal.CodeBadRequest},
		{"no such room", signal.TypeJoin, "t2", signal.Join{Room: strings.Repeat("a", 26), SDP: offer}, signal.CodeNotFound},
		{"room with dots", signal.TypeJoin, "t2", signal.Join{Room: "../../x", SDP: offer}, signal.CodeBadRequest},
		{"player 99", signal.TypeJoin, "t3", signal.Join{Room: a.Room, Player: 99, SDP: offer}, signal.CodeBadRequest},
		{"player 5 of 4", signal.TypeJoin, "t3", signal.Join{Room: a.Room, Player: 5, SDP: offer}, signal.CodeBadRequest},
		{"twice", signal.TypeStart, "s1", signal.Start{Game: library.TestCardID, SDP: offer}, signal.CodeBadRequest},
		{"offer without session", signal.TypeOffer, "t9", signal.Offer{SDP: offer}, signal.CodeNotFound},
		{"malformed offer", signal.TypeOffer, "s1", signal.Offer{SDP: "x"}, signal.CodeBadRequest},
		{"malformed candidate", signal.TypeCandidate, "s1", map[string]any{"candidate": 5}, signal.CodeBadRequest},
		{"not for workers", signal.TypeHello, "s1", nil, signal.CodeBadRequest},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprintf("r%d", i)
			p.link.send(tt.kind, id, tt.session, tt.payload)
			e := p.link.want(signal.TypeError, tt.session)
			if r := refusal(t, e); r.Code != tt.code || e.ID != id {
				t.Errorf("refused with %v for %q, want %v", r, e.ID, tt.code)
			}
		})
	}
	p.link.send(signal.TypeStart, "x", "", signal.Start{})
	if r := refusal(t, p.link.want(signal.TypeError, "")); r.Code != signal.CodeBadRequest {
		t.Errorf("without session: %v", r)
	}
	p.link.raw("{broken")
	if r := refusal(t, p.link.want(signal.TypeError, "")); r.Code != signal.CodeBadRequest {
		t.Errorf("no JSON: %v", r)
	}
	p.link.send(signal.TypeLeave, "", "unknown", nil)
	p.link.send(signal.TypeCandidate, "", "unknown", signal.Candidate{})
	p.link.send(signal.TypeResume, "", "unknown", nil)
	p.link.want(signal.TypeClosed, "unknown")
	peertest.Wait(t, "the game to go on", host.Pictures)
}

func TestRoomsAreLimited(t *testing.T) {
	p := newPlay(t, nil)
	p.start("s1")
	p.start("s2")
	if r := refusal(t, p.link.reserve("t", library.TestCardID)); r.Code != signal.CodeFull {
		t.Errorf("third of two: %v", r)
	}
}

func TestEngineFailureReachesThePage(t *testing.T) {
	p := newPlay(t, nil)
	b, _ := p.start("s1")
	peertest.Wait(t, "the channel", b.Open)
	(<-p.engines).Fail(errors.New("the core is broken"))
	e := p.link.want(signal.TypeClosed, "s1")
	if c, err := signal.Read[signal.Closed](e); err != nil || !strings.Contains(c.Reason, "the core is broken") {
		t.Errorf("closed with %+v, %v", c, err)
	}
	for {
		if m := peertest.Wait(t, "the error", b.Messages); strings.Contains(m, `"error"`) && strings.Contains(m, "the core is broken") {
			break
		}
	}
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 0 })
}

// TestCoordinatorDies: games go on, and the next connection hears of all.
func TestCoordinatorDies(t *testing.T) {
	p := newPlay(t, nil)
	b, a := p.start("s1")
	peertest.Wait(t, "a picture", b.Pictures)
	p.link.conn.Close()
	p.link = p.door.accept()
	if r := p.link.register; len(r.Rooms) != 1 || r.Rooms[0].ID != a.Room || r.ID != p.self.id {
		t.Errorf("Register = %+v", r)
	}
	for range 100 {
		<-b.Pictures
	}
	p.link.send(signal.TypeResume, "", "s1", nil) // the page found this coordinator
	p.link.send(signal.TypeOffer, "7", "s1", signal.Offer{SDP: b.Restart()})
	b.Accept(answer(t, p.link.want(signal.TypeAnswer, "s1")).SDP)
	for range 10 {
		peertest.Wait(t, "a picture after the ICE restart", b.Pictures)
	}
	(<-p.engines).Fail(errors.New("over"))
	p.link.want(signal.TypeClosed, "s1")
}

func TestTwoCoordinators(t *testing.T) {
	other := newDoor(t)
	p := newPlay(t, func(c *Config) { c.Coordinators = append(c.Coordinators, other.address()) })
	second := other.accept()
	_, a := p.start("s1")
	second.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].ID == a.Room })
	second.send(signal.TypeJoin, "1", "s2", signal.Join{Room: a.Room, SDP: peertest.New(t, peertest.Options{}).Offer()})
	if b := answer(t, second.want(signal.TypeAnswer, "s2")); b.Player != 2 {
		t.Errorf("player %d", b.Player)
	}
}

func TestShutdownTellsEverybody(t *testing.T) {
	p := newPlay(t, nil)
	b, _ := p.start("s1")
	peertest.Wait(t, "the channel", b.Open)
	p.stop()
	p.link.want(signal.TypeClosed, "s1")
	for {
		if strings.Contains(peertest.Wait(t, "the reason", b.Messages), "going down") {
			break
		}
	}
	if (<-p.engines).Stopped() != true {
		t.Error("an engine runs on")
	}
}

func TestProbe(t *testing.T) {
	p := newPlay(t, nil)
	base := "http://" + p.ProbeAddr().String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tests := []struct {
		method, path string
		status       int
	}{
		{"GET", "/echo?_=1", 200},
		{"GET", "/health", 200},
		{"OPTIONS", "/echo", 204},
		{"POST", "/echo", 405},
		{"GET", "/", 404},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		cors := res.Header.Get("Access-Control-Allow-Origin")
		if res.StatusCode != tt.status || tt.status < 300 && cors != "*" {
			t.Errorf("%s %s: %d, CORS %q", tt.method, tt.path, res.StatusCode, cors)
		}
	}
}

func TestNewErrors(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	port := udp.LocalAddr().(*net.UDPAddr).Port
	good := Config{Coordinators: []string{"127.0.0.1:1"}, Secret: secret, MediaAddress: "127.0.0.1"}
	tests := []struct {
		name string
		edit func(*Config)
		want []error
	}{
		{"no secret", func(c *Config) { c.Secret = "" }, nil},
		{"no coordinator", func(c *Config) { c.Coordinators = nil }, nil},
		{"coordinator is no address", func(c *Config) { c.Coordinators = []string{"ftp://x"} }, nil},
		{"media port in use", func(c *Config) { c.MediaPort = port }, []error{ErrMedia, syscall.EADDRINUSE}},
		{"media port out of range", func(c *Config) { c.MediaPort = 70000 }, []error{ErrMedia}},
		{"probe in use", func(c *Config) { c.ProbeAddress = tcp.Addr().String() }, []error{ErrProbe, syscall.EADDRINUSE}},
		{"bad map", func(c *Config) { c.IPMap = []string{"x"} }, []error{ErrMedia}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.edit(&cfg)
			w, err := newWorker(cfg, startEngine)
			if err == nil {
				_ = w.Close()
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
		})
	}
	w, err := newWorker(good, startEngine)
	if err != nil {
		t.Fatal(err)
	}
	if w.ProbeAddr() != nil {
		t.Error("a probe nobody asked for")
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestSpec(t *testing.T) {
	cfg := Config{Video: engine.VideoSpec{Scale: 2, Profile: 2}, SystemDir: "sys", SaveDir: "save"}
	w := &Worker{cfg: cfg}
	w.current.Store(cfg.settings())
	s := w.spec(library.Title{Core: "c.so", File: "g.nes", Scale: 3, Options: map[string]string{"a": "b"}})
	if s.Kind != engine.KindLibretro || s.Video.Scale != 3 || s.Game != "g.nes" || s.SaveDir != "save" || s.Video.Profile != 1 {
		t.Errorf("spec %+v", s)
	}
	s = w.spec(library.Title{Core: "c.so", Builtin: "x"})
	if s.Builtin != "x" || s.Video.Scale != 2 {
		t.Errorf("spec %+v", s)
	}
}
