package web_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const playing = `window.cloudretro?.state === 'playing' && cloudretro.firstFrame !== null`

// key is a real key press or release, by its place on the keyboard.
func key(kind input.DispatchKeyEventType, code string, windows int64) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		name := map[string]string{"Escape": "Escape", "Backslash": "\\"}[code]
		if name == "" {
			name = strings.ToLower(strings.TrimPrefix(code, "Key"))
		}
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: kind, Code: code, Key: name, WindowsVirtualKeyCode: windows,
		})
		return err
	})
}

func tap(code string, windows int64) action {
	return chromedp.Steps(key(input.DispatchKeyEventTypeRawKeyDown, code, windows), key(input.DispatchKeyEventTypeKeyUp, code, windows))
}

func TestPlay(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	t.Logf("first picture after %.0f ms", eval[float64](ctx, t, `cloudretro.firstFrame`))
	shoot(ctx, t, "play")
	if path := eval[string](ctx, t, `location.pathname`); path != "/room/"+f.room.Room {
		t.Errorf("the address is %s, not the room's", path)
	}
	if got := eval[string](ctx, t, `document.title`); got != "Quad · CloudRetro" {
		t.Errorf("title %q", got)
	}
	until(ctx, t, `cloudretro.geometry?.fps === 60.0988`)
	// Sound and picture must not share a stream, or lip-sync delays the picture.
	if !eval[bool](ctx, t, `document.querySelector('audio').srcObject.id !== cloudretro.video.srcObject.id && cloudretro.video.muted`) {
		t.Error("sound and picture share a stream")
	}
	if !eval[bool](ctx, t, `cloudretro.pc.getReceivers().some((r) => r.track.kind === 'video' && r.jitterBufferTarget === 0)`) {
		t.Error("the jitter buffer of the picture has no target of 0")
	}
	if !eval[bool](ctx, t, `/stereo=1/.test(cloudretro.pc.localDescription.sdp)`) {
		t.Error("the sound was not asked for in stereo")
	}
	noErrors(ctx, t)
}

// buttons of the newest state of the newest datagram, -1 for none.
func (f *fake) buttons() int {
	data := f.lastInput()
	if len(data) < 16 {
		return -1
	}
	return int(binary.BigEndian.Uint16(data[6:]))
}

func TestInput(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	run(ctx, t, key(input.DispatchKeyEventTypeRawKeyDown, "KeyZ", 'Z'))
	wait(t, "A is held", func() bool { return f.buttons() == 1<<8 })
	run(ctx, t, key(input.DispatchKeyEventTypeRawKeyDown, "ArrowUp", 38))
	wait(t, "A and up are held", func() bool { return f.buttons() == 1<<8|1<<4 })
	run(ctx, t, key(input.DispatchKeyEventTypeKeyUp, "KeyZ", 'Z'))
	wait(t, "up is held", func() bool { return f.buttons() == 1<<4 })
	data := f.lastInput()
	if data[0] != 1 || len(data) != 6+10*int(data[1]) {
		t.Errorf("datagram % x", data)
	}
	before := f.datagrams()
	wait(t, "repeats while held", func() bool { return f.datagrams() > before+3 })
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`void window.dispatchEvent(new Event('blur'))`))
	wait(t, "a blur lets go", func() bool { return f.buttons() == 0 })
}

func TestOverlays(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	run(ctx, t, tap("KeyH", 'H'))
	until(ctx, t, `document.querySelector('.panel.help')`)
	shoot(ctx, t, "help")
	run(ctx, t, tap("Escape", 27))
	until(ctx, t, `!document.querySelector('.panel') && cloudretro.state === 'playing'`)
	run(ctx, t, tap("Backslash", 220))
	until(ctx, t, `/direct · udp/.test(document.querySelector('.stats').innerText) && /H264/.test(document.querySelector('.stats').innerText)`)
	wait(t, "a ping", func() bool { return f.heard("control:ping") > 1 })
	until(ctx, t, `/ping\s+[0-9.]+ ms/.test(document.querySelector('.stats').innerText)`)
	shoot(ctx, t, "stats")
	run(ctx, t, chromedp.Click(chromedp.CSS(".seat")))
	until(ctx, t, `!document.querySelector('.popover').hidden`)
	shoot(ctx, t, "seats")
	run(ctx, t, chromedp.Click(chromedp.CSS(".popover button:nth-child(3)")))
	until(ctx, t, `cloudretro.player === 0 && document.querySelector('.seat').innerText === 'Watching'`)
	f.tell(map[string]string{"type": "restarted", "text": "The game crashed and was restored."})
	until(ctx, t, `/was restored/.test(document.querySelector('.notes').innerText)`)
	shoot(ctx, t, "note")
	run(ctx, t, tap("Escape", 27))
	until(ctx, t, `cloudretro.state === 'menu' && cloudretro.pc === null && location.pathname === '/'`)
	wait(t, "leave", func() bool { return f.heard("leave") == 1 })
	until(ctx, t, `/waits for you/.test(document.querySelector('.banner')?.innerText)`)
	noErrors(ctx, t)
}

func TestReconnect(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`void (window.pcBefore = cloudretro.pc, window.states = [], setInterval(() => states.push(cloudretro.state), 5))`))
	f.dropSockets()
	wait(t, "resume", func() bool { return f.heard("resume") == 1 })
	until(ctx, t, `states.includes('reconnecting') && cloudretro.state === 'playing'`)
	if !eval[bool](ctx, t, `pcBefore === cloudretro.pc && pcBefore.connectionState === 'connected'`) {
		t.Error("the media connection was touched")
	}
	f.mu.Lock()
	f.resume = false
	f.mu.Unlock()
	f.dropSockets()
	wait(t, "a second resume after a refusal", func() bool { return f.heard("resume") >= 3 })
	until(ctx, t, `cloudretro.state === 'reconnecting' && cloudretro.pc.connectionState === 'connected'`)
	shoot(ctx, t, "reconnecting")
	f.mu.Lock()
	f.resume = true
	f.mu.Unlock()
	until(ctx, t, `cloudretro.state === 'playing'`)
	f.say(signal.TypeClosed, signal.Closed{Reason: "The server is shutting down."})
	until(ctx, t, `cloudretro.state === 'error' && cloudretro.error.code === 'closed'`)
	shoot(ctx, t, "closed")
}

func TestPathLost(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	f.road.cut.Store(true)
	wait(t, "an ICE restart", func() bool { return f.heard("offer") > 0 })
	if state := eval[string](ctx, t, `cloudretro.state + ' ' + cloudretro.phase`); state != "reconnecting path" {
		t.Errorf("state %q", state)
	}
	f.road.cut.Store(false)
	until(ctx, t, `cloudretro.state === 'playing' && cloudretro.pc.connectionState === 'connected'`)
	frames := eval[int](ctx, t, `cloudretro.video.getVideoPlaybackQuality().totalVideoFrames`)
	until(ctx, t, fmt.Sprintf(`cloudretro.video.getVideoPlaybackQuality().totalVideoFrames > %d`, frames+10))
	if n := f.heard("start"); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
	noErrors(ctx, t)
}

func TestReload(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	f.mu.Lock()
	f.room.Player = 2
	f.mu.Unlock()
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`location.reload()`))
	wait(t, "the old page leaves", func() bool { return f.heard("leave") == 1 })
	wait(t, "the new page takes its session up", func() bool { return f.heard("join 0 by token-"+f.room.Room) == 1 })
	until(ctx, t, playing+` && cloudretro.player === 2`)
	f.mu.Lock()
	f.refuse = &signal.Error{Code: signal.CodeNotFound, Message: "Closed."}
	f.mu.Unlock()
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`location.reload()`))
	until(ctx, t, `/Start the game anew/.test(document.querySelector('.panel')?.innerText)`)
	f.mu.Lock()
	f.refuse = nil
	f.mu.Unlock()
	run(ctx, t, chromedp.Click(chromedp.CSS(".panel .primary")))
	until(ctx, t, playing)
	if n := f.heard("start"); n != 2 {
		t.Errorf("%d starts, want 2", n)
	}
}

func TestErrors(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	for _, c := range []struct {
		code    signal.Code
		path    string
		title   string
		buttons int
	}{
		{signal.CodeNoWorker, "/play/quad", "No machine is free", 2},
		{signal.CodeNotFound, "/room/" + strings.Repeat("b", 26), "This room is closed", 1},
		{signal.CodeNotFound, "/play/nothing", "This game is not here", 2},
		{signal.CodeFull, "/play/quad", "No free place", 2},
		{signal.CodeFailed, "/play/quad", "The game could not be started", 2},
		{"made-up", "/play/quad", "The game could not be started", 2},
	} {
		t.Run(fmt.Sprintf("%s%s", c.code, c.path[:5]), func(t *testing.T) {
			f.mu.Lock()
			f.refuse = &signal.Error{Code: c.code, Message: "Words of the server."}
			f.mu.Unlock()
			run(ctx, t, chromedp.Navigate(f.URL+c.path))
			until(ctx, t, `window.cloudretro?.state === 'error' && document.querySelector('.panel')`)
			text := eval[string](ctx, t, `document.querySelector('.panel').innerText`)
			if !strings.Contains(text, c.title) || !strings.Contains(text, "Words of the server.") {
				t.Errorf("the panel says %q", text)
			}
			if n := eval[int](ctx, t, `document.querySelectorAll('.panel .button').length`); n != c.buttons {
				t.Errorf("%d buttons, want %d", n, c.buttons)
			}
			shoot(ctx, t, "error-"+string(c.code)+c.path[1:5])
		})
	}
}
