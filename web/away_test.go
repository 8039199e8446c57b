package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// reborn serves a handler at an address where a server has died.
func reborn(t *testing.T, at string, handler http.Handler) *httptest.Server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// die ends a server and all that was connected to it, as kill -9 does.
func die(f *fake, s *httptest.Server) {
	_ = s.Listener.Close()
	f.dropSockets()
	s.CloseClientConnections()
}

// connectedTo waits for a socket at an address and says how long it took.
func connectedTo(ctx context.Context, t *testing.T, at string) time.Duration {
	t.Helper()
	began := time.Now()
	until(ctx, t, fmt.Sprintf(`cloudretro.socket === 'ready' && cloudretro.coordinator === %q`, "ws"+strings.TrimPrefix(at, "http")+"/ws"))
	return time.Since(began)
}

// TestCoordinatorsDie: the game goes on, the page finds another one, and the
// first that is back when all were dead.
func TestCoordinatorsDie(t *testing.T) {
	f := party(t)
	second := httptest.NewServer(f.handler())
	t.Cleanup(second.Close)
	f.alternates = []string{f.URL, second.URL}
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	does(ctx, t, `window.pcBefore = cloudretro.pc, window.badges = new Set(), setInterval(() => badges.add(document.querySelector('.badge').textContent), 20)`)
	frames := eval[int](ctx, t, `cloudretro.video.getVideoPlaybackQuality().totalVideoFrames`)
	die(f, f.Server)
	took := connectedTo(ctx, t, second.URL)
	t.Logf("connected to the other after %v", took)
	until(ctx, t, `cloudretro.state === 'playing' && cloudretro.pc === pcBefore`)
	until(ctx, t, fmt.Sprintf(`cloudretro.video.getVideoPlaybackQuality().totalVideoFrames > %d + 20`, frames))
	if eval[bool](ctx, t, `[...badges].some((b) => b.includes("server"))`) && took < time.Second { // it may be longer on a busy machine
		t.Errorf("a loss of the server for %v was shown", took)
	}
	// What the panel needs has been loaded, and its links lead to who is alive.
	does(ctx, t, share)
	until(ctx, t, fmt.Sprintf(`document.querySelector('[aria-label="Link to the room"]')?.value === %q`, second.URL+"/room/"+f.room.Room))

	die(f, second)
	until(ctx, t, `cloudretro.socket === 'lost' && /looking for the server/.test(document.querySelector('.badge').textContent)`)
	shoot(ctx, t, "server-away")
	before := f.datagrams()
	does(ctx, t, `window.dispatchEvent(new KeyboardEvent('keydown', { code: 'KeyZ', key: 'z' }))`)
	wait(t, "input goes on", func() bool { return f.datagrams() > before })
	time.Sleep(6 * time.Second)
	reborn(t, f.URL, f.handler())
	t.Logf("connected to the first that is back after %v", connectedTo(ctx, t, f.URL))
	until(ctx, t, `cloudretro.state === 'playing' && cloudretro.pc === pcBefore && cloudretro.pc.connectionState === 'connected'`)
	noErrors(ctx, t)
}

// TestTwoTabs: a copied tab takes the session over, and the older one lets it.
func TestTwoTabs(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing)
	f.mu.Lock()
	for conn := range f.sockets {
		_ = conn.WriteControl(8, []byte{4001 >> 8, 4001 & 0xff}, time.Now().Add(time.Second))
	}
	f.mu.Unlock()
	until(ctx, t, `cloudretro.error?.code === 'elsewhere' && /another window/.test(document.querySelector('.panel').innerText)`)
	shoot(ctx, t, "elsewhere")
	time.Sleep(time.Second)
	if n := f.heard("connect"); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestSignedOut: the page loads itself anew for the sign-in, but not for ever.
func TestSignedOut(t *testing.T) {
	f := newFake(t)
	f.signIn = true
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`void (window.before = true)`))
	until(ctx, t, `sessionStorage.getItem('cloudretro.signin') !== null && !window.before`)
	f.mu.Lock()
	f.signIn, f.refuse = false, &signal.Error{Code: signal.CodeSignIn, Message: ""}
	f.mu.Unlock()
	until(ctx, t, `window.cloudretro?.error?.code === 'sign-in' && /Sign in to play/.test(document.querySelector('.panel')?.innerText)`)
}

func TestRegions(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
	}{{"desktop", 1280, 900}, {"phone", 390, 844}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.games = library()
			f.zones = map[string]time.Duration{"eu": 5 * time.Millisecond, "us-east": 150 * time.Millisecond}
			ctx := browser(t, c.width, c.height)
			run(ctx, t, chromedp.Navigate(f.URL+"/"))
			until(ctx, t, `/nearest \(eu, \d+ ms\)/.test(document.querySelector('#region option')?.text) && document.querySelectorAll('.card').length`)
			shoot(ctx, t, "regions-"+c.name)
			if n := f.heard("echo eu"); n < 1 || n > 6 { // fewer where a busy machine takes all the time there is
				t.Errorf("%d probes, want 6 at the most", n)
			}
			if far := eval[float64](ctx, t, `cloudretro.zones.latencies['us-east']`); far < 150 {
				t.Errorf("us-east is %v ms away", far)
			}
			does(ctx, t, `document.querySelector('#region').value = 'us-east', document.querySelector('#region').dispatchEvent(new Event('change'))`)
			run(ctx, t, chromedp.Click(chromedp.CSS(`[data-game=quad]`)))
			until(ctx, t, playing)
			if f.heard("start 0 zone us-east") != 1 || f.heard("latencies of 2 zones") != 1 {
				t.Error("the choice or the latencies were not sent")
			}
			f.mu.Lock()
			delete(f.zones, "us-east")
			f.mu.Unlock()
			run(ctx, t, chromedp.Navigate(f.URL+"/"))
			until(ctx, t, `document.querySelectorAll('.card').length && cloudretro.zones.choice === '' && JSON.parse(localStorage.getItem('cloudretro')).zone === ''`)
			until(ctx, t, `document.querySelector('.region').hidden`)
			noErrors(ctx, t)
		})
	}
}
