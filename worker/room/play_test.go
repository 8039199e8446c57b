package room

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/input"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPlay is a whole room with real connections over loopback.
func TestPlay(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	l, err := peer.Listen(peer.Config{Logger: log, Address: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := New(Config{
		Logger: log, ID: roomID, Seats: 2, Grace: time.Minute, Profile: media.ProfileMain,
		Game: signal.Game{ID: "game", Title: "A Game", System: "nes"},
	})
	e := roomtest.New(r.Sink(), 10*time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- r.Run(ctx, e) }()

	join := func() (*Member, *peertest.Browser, chan Leave) {
		m, err := r.Reserve(t.Context(), Entry{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Open(m.Events(), peer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := peertest.New(t, peertest.Options{})
		answer, err := p.Answer(t.Context(), b.Offer(), "")
		if err != nil {
			t.Fatal(err)
		}
		left := make(chan Leave, 1)
		if err := m.Attach(p, func(l Leave) { left <- l }); err != nil {
			t.Fatal(err)
		}
		b.Accept(answer)
		return m, b, left
	}
	_, first, _ := join()
	if pic := peertest.Wait(t, "a picture", first.Pictures); !pic.Key || pic.Delayed {
		t.Errorf("first picture: %+v", pic)
	}
	m, second, left := join()
	if pic := peertest.Wait(t, "a picture", second.Pictures); !pic.Key {
		t.Error("a joiner's first picture is no key frame")
	}
	second.AskKeyFrame()
	for !peertest.Wait(t, "a key frame after PLI", second.Pictures).Key {
	}
	peertest.Wait(t, "the channel", second.Open)
	d := input.Datagram{Seq: 1, N: 1}
	d.States[0].Buttons = 256
	for sent := time.Now(); ; { // unreliable channel, so repeat
		if err := second.Input.Send(d.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(e.Pads(), roomtest.Press{Port: 1, Pad: engine.Pad{Buttons: 256}}) {
			break
		}
		if time.Since(sent) > peertest.Patience {
			t.Fatal("input did not arrive")
		}
		peertest.Wait(t, "a picture", second.Pictures)
	}
	second.Close()
	peertest.Wait(t, "the second to leave", left)
	if m.Player() != 0 {
		t.Error("the seat is kept")
	}
	cancel()
	if err := peertest.Wait(t, "the room's end", result); err != nil {
		t.Error(err)
	}
	for got := ""; ; {
		if got = peertest.Wait(t, "the reason", first.Messages); got == `{"type":"error","code":"failed","message":"the machine of this game is going down, to be updated or switched off"}` {
			break
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, s := range []string{
		`{"type":"seat","player":1}`, `{"type":"ping","t":1e308}`, `{`, `{"type":5}`, `null`,
		`{"type":"invite","ref":"a","player":1,"single":true,"seconds":60}`, `{"type":"invite","ref":7,"watch":true}`,
		`{"type":"invite","player":-1}`, `{"type":"invite","seconds":-9}`, `{"type":"revoke","id":"abc"}`,
		`{"type":"host","member":"m1"}`, `{"type":"mute","member":"m1","on":true}`, `{"type":"remove","member":"m1"}`,
		`{"type":"save","ref":"s"}`, `{"type":"load"}`, `{"type":"door","closed":false,"ref":{}}`, `{"type":"door"}`, `{"type":"mute","on":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b, 2)
		if err != nil {
			e := signal.AsError(err)
			if len(e.Message) > signal.MaxText || e.Validate() != nil {
				t.Fatalf("error cannot be shown: %q", e.Message)
			}
			return
		}
		if r.Player != nil && (*r.Player < 0 || *r.Player > 2) {
			t.Fatalf("seat %d passed", *r.Player)
		}
		encode(invitedMessage{Ref: r.Ref})
		switch r.Type {
		case "ping":
			encode(pongMessage{"pong", *r.T})
		case "seat":
			_ = *r.Player
		case "invite":
			if err := r.invite(roomID).Validate(); err != nil {
				t.Fatal(err)
			}
		case "mute":
			_ = *r.On
		case "door":
			_ = *r.Closed
		case "revoke", "host", "remove", "save", "load":
		default:
			t.Fatalf("%q passed", r.Type)
		}
	})
}
