package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestHostileClients sends what no page would send; a game that runs meanwhile does not notice.
func TestHostileClients(t *testing.T) {
	s := stage(t, Options{})
	p := open(t, s.URL+"/play/test-card")
	start := eval[float64](t, p, "performance.now()")

	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	sdp := eval[string](t, p, "probe.pc.localDescription.sdp")
	room := eval[string](t, p, "window.cloudretro.room")
	for name, message := range map[string]any{
		"player 99":        map[string]any{"v": 1, "type": "join", "id": "q", "data": map[string]any{"room": room, "player": 99, "sdp": sdp}},
		"player -1":        map[string]any{"v": 1, "type": "join", "id": "q", "data": map[string]any{"room": room, "player": -1, "sdp": sdp}},
		"room ../../x":     map[string]any{"v": 1, "type": "join", "id": "q", "data": map[string]any{"room": "../../x", "sdp": sdp}},
		"no such room":     map[string]any{"v": 1, "type": "join", "id": "q", "data": map[string]any{"room": strings.Repeat("a", 26), "sdp": sdp}},
		"game with slash":  map[string]any{"v": 1, "type": "start", "id": "q", "data": map[string]any{"game": "../etc/passwd", "sdp": sdp}},
		"no such game":     map[string]any{"v": 1, "type": "start", "id": "q", "data": map[string]any{"game": "never-seen", "sdp": sdp}},
		"SDP that is none": map[string]any{"v": 1, "type": "start", "id": "q", "data": map[string]any{"game": "test-card", "sdp": "v=0"}},
		"unknown type":     map[string]any{"v": 1, "type": "dance", "id": "q"},
		"other version":    map[string]any{"v": 99, "type": "start", "id": "q"},
		"1 MB":             strings.Repeat("x", 1<<20),
		"no JSON":          "}{",
	} {
		t.Run(name, func(t *testing.T) {
			text, ok := message.(string)
			if !ok {
				b, _ := json.Marshal(message)
				text = string(b)
			}
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if m := awaitError(t, ws); m == "" {
				t.Error("the error has no message for people")
			}
		})
	}
	t.Run("datagrams and control", func(t *testing.T) { hostileChannels(t, p) })
	calm(t, p, start)
	hold(t, p, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
}

// awaitError reads until an error arrives and returns its message.
func awaitError(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patient))
	for {
		var m struct {
			Type string
			Data struct{ Code, Message string }
		}
		if err := ws.ReadJSON(&m); err != nil {
			t.Fatal("the socket was closed instead of an error: ", err)
		}
		if m.Type == "error" {
			t.Logf("%s: %s", m.Data.Code, m.Data.Message)
			return m.Data.Message
		}
	}
}

// hostileChannels writes random datagrams to `input` and bad requests to `control` of a second page.
func hostileChannels(t *testing.T, victim *Page) {
	t.Helper()
	room := eval[string](t, victim, "location.origin + '/room/' + window.cloudretro.room")
	p := open(t, room)
	eval[bool](t, p, `new Promise((resolve) => {
		const pc = probe.pc, before = window.cloudretro.errors.length;
		for (let i = 0; i < 2000; i++) {
			const d = new Uint8Array(Math.random() * 200);
			crypto.getRandomValues(d);
			if (i % 2 && d.length > 2) { d[0] = 1; d[1] = 1 + i % 4; }
			probe.channels.input.send(d);
		}
		window.cloudretro.sendControl({ type: 'seat', player: 99 });
		window.cloudretro.sendControl({ type: 'seat', player: 'x' });
		window.cloudretro.sendControl({ type: 'no such' });
		const wait = () => window.cloudretro.errors.length > before ? resolve(true) : setTimeout(wait, 10);
		wait();
	})`)
	if n := eval[float64](t, p, "window.cloudretro.player"); n == 99 {
		t.Error("seat 99 was granted")
	}
}
