package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// click clicks an element of the page once it is there.
func click(t *testing.T, p *Page, selector string) {
	t.Helper()
	until(t, p, fmt.Sprintf("document.querySelector(%q)", selector), 3*time.Second)
	eval[bool](t, p, fmt.Sprintf("(document.querySelector(%q).click(), true)", selector))
}

// stroke presses and releases a key.
func stroke(t *testing.T, p *Page, code, key string) {
	t.Helper()
	for _, down := range []bool{true, false} {
		if err := p.Key(code, key, down); err != nil {
			t.Fatal(err)
		}
	}
}

// reload loads the page anew and waits for its picture.
func reload(t *testing.T, p *Page) {
	t.Helper()
	eval[bool](t, p, "(window.old = true, setTimeout(() => location.reload()), true)")
	until(t, p, "!window.old && window.probe?.frames.length > 0", 15*time.Second)
}

// takeSeat chooses a place in the list of seats; 0 is to watch.
func takeSeat(t *testing.T, p *Page, player int) {
	t.Helper()
	name := "Watch"
	if player > 0 {
		name = fmt.Sprintf("Player %d", player)
	}
	click(t, p, ".seat")
	eval[bool](t, p, fmt.Sprintf("([...document.querySelectorAll('.popover button')].find((b) => b.textContent === %q).click(), true)", name))
}

// sees waits until the list of seats says how many play and watch.
func sees(t *testing.T, p *Page, players, viewers int) {
	t.Helper()
	click(t, p, ".seat")
	until(t, p, fmt.Sprintf("document.querySelector('.popover small').textContent === '%d playing, %d watching'", players, viewers), 3*time.Second)
	click(t, p, ".seat")
}

// TestTogether shares a link, changes seats and reloads.
func TestTogether(t *testing.T) {
	s := stage(t, Options{})
	game, err := s.GameOf(t.Context(), "nes")
	if err != nil {
		t.Fatal(err)
	}
	host := open(t, s.URL+"/play/"+game.ID)
	room := eval[string](t, host, "cloudretro.room")
	eval[bool](t, host, "(navigator.clipboard.writeText = async (text) => { probe.copied = text; }, true)")
	click(t, host, "[aria-label='Share the room']")
	until(t, host, "probe.copied && document.querySelector('.note')", 3*time.Second)
	link := eval[string](t, host, "probe.copied")
	if link != s.URL+"/room/"+room {
		t.Fatalf("the link is %s", link)
	}
	guest := open(t, link)
	until(t, guest, "cloudretro.player === 2", 3*time.Second)
	sees(t, host, 2, 0)

	t.Run("seats", func(t *testing.T) {
		takeSeat(t, guest, 0)
		until(t, guest, "cloudretro.player === 0 && document.querySelector('.seat .long').textContent === 'Watching'", 3*time.Second)
		sees(t, host, 1, 1)
		sees(t, guest, 1, 1)
		takeSeat(t, guest, 1)
		until(t, guest, "cloudretro.errors.length > 0 && document.querySelector('.note.error')", 3*time.Second)
		t.Log("a seat that is taken: ", eval[string](t, guest, "document.querySelector('.note.error').textContent"))
		takeSeat(t, guest, 2)
		until(t, guest, "cloudretro.player === 2", 3*time.Second)
		sees(t, host, 2, 0)
	})
	t.Run("reload", func(t *testing.T) {
		reload(t, guest)
		until(t, guest, fmt.Sprintf("cloudretro.room === %q && cloudretro.player === 2", room), 5*time.Second)
		reload(t, host)
		until(t, host, fmt.Sprintf("cloudretro.room === %q && cloudretro.player === 1", room), 5*time.Second)
		if pids := s.Cores(); len(pids) != 1 {
			t.Errorf("core processes %v, want the one there was", pids)
		}
	})
}

// TestLeave goes back to the menu, into the game again, and away for good.
func TestLeave(t *testing.T) {
	s := stage(t, Options{Config: map[string]string{"CLOUDRETRO_WORKER_ROOMS_GRACE": "2s"}})
	p := open(t, s.URL+"/play/test-card")
	room := eval[string](t, p, "cloudretro.room")
	stroke(t, p, "Escape", "Escape")
	until(t, p, "cloudretro.state === 'menu' && document.querySelector('.card') && location.pathname === '/'", 3*time.Second)
	if eval[bool](t, p, "probe.pcs.some((pc) => pc.connectionState !== 'closed') || cloudretro.pc !== null") {
		t.Error("the menu holds a connection")
	}
	click(t, p, ".banner a")
	until(t, p, fmt.Sprintf("cloudretro.state === 'playing' && cloudretro.room === %q && cloudretro.player === 1", room), 10*time.Second)
	stroke(t, p, "Escape", "Escape")
	until(t, p, "cloudretro.state === 'menu'", 3*time.Second)
	if err := await(func() bool { return len(s.Cores()) == 0 }, patient); err != nil {
		t.Fatalf("core processes %v long after everybody left", s.Cores())
	}
	eval[bool](t, p, fmt.Sprintf("(setTimeout(() => location.assign('/room/%s')), true)", room))
	until(t, p, "window.cloudretro?.state === 'error'", 10*time.Second)
	t.Log("a room that has closed: ", eval[string](t, p, "cloudretro.error.title + '; ' + cloudretro.error.text"))
	eval[bool](t, p, "(setTimeout(() => location.assign('/play/never-seen')), true)")
	until(t, p, "window.cloudretro?.error?.code === 'not-found' && location.pathname === '/play/never-seen' && document.querySelector('[role=alertdialog]')", 10*time.Second)
	if text := eval[string](t, p, "document.querySelector('[role=alertdialog]').innerText"); !strings.Contains(text, "never-seen") || !strings.Contains(text, "Menu") {
		t.Errorf("an unknown game: %s", text)
	}
}

// TestControls uses what lies around the picture.
func TestControls(t *testing.T) {
	s := stage(t, Options{})
	p := open(t, s.URL+"/play/test-card")
	t.Run("by keyboard alone", func(t *testing.T) {
		until(t, p, "getComputedStyle(document.querySelector('.bar')).opacity === '0'", 10*time.Second)
		var order []string
		for range 9 {
			stroke(t, p, "Tab", "Tab")
			order = append(order, eval[string](t, p, "document.activeElement.ariaLabel ?? document.activeElement.tagName"))
		}
		want := []string{
			"Back to the menu", "Player 1 of 4, change the seat", "Mute", "Volume",
			"Save", "Share the room", "Statistics", "Keys and help", "Fullscreen",
		}
		if !slices.Equal(order, want) {
			t.Errorf("Tab goes to %q, want %q", order, want)
		}
		until(t, p, "getComputedStyle(document.querySelector('.bar')).opacity === '1'", 3*time.Second)
		eval[bool](t, p, "(document.activeElement.blur(), true)")
	})
	t.Run("fullscreen", func(t *testing.T) {
		stroke(t, p, "KeyF", "f")
		until(t, p, "document.fullscreenElement && document.querySelector('[aria-label=Fullscreen]').ariaPressed === 'true'", 5*time.Second)
		stroke(t, p, "KeyF", "f")
		until(t, p, "!document.fullscreenElement && document.querySelector('[aria-label=Fullscreen]').ariaPressed === 'false'", 5*time.Second)
	})
	t.Run("help", func(t *testing.T) {
		stroke(t, p, "KeyH", "h")
		until(t, p, "document.activeElement.matches('.help .actions .button')", 3*time.Second)
		stroke(t, p, "Escape", "Escape")
		until(t, p, "!document.querySelector('.help') && cloudretro.state === 'playing'", 3*time.Second)
	})
	t.Run("statistics", func(t *testing.T) {
		stroke(t, p, "Backslash", "\\")
		until(t, p, "document.querySelectorAll('.stats dd').length === 13 && ![...document.querySelectorAll('.stats dd')].some((d) => d.textContent.includes('–'))", 5*time.Second)
		figures := eval[map[string]string](t, p, "Object.fromEntries([...document.querySelectorAll('.stats dl > div')].map((r) => [r.firstChild.textContent, r.lastChild.textContent]))")
		t.Log(figures)
		for label, want := range map[string]string{"picture": "512×480", "codec": "H264", "path": "direct · udp", "frames": "of 60.00 fps", "lost": "0 / 0"} {
			if !strings.Contains(figures[label], want) {
				t.Errorf("%s: %q, want %q", label, figures[label], want)
			}
		}
		stroke(t, p, "Backslash", "\\")
		until(t, p, "document.querySelector('.stats').hidden", 3*time.Second)
	})
	t.Run("sound stays as it was", func(t *testing.T) {
		eval[bool](t, p, "((v) => (v.value = 0.3, v.dispatchEvent(new Event('input'))))(document.querySelector('[aria-label=Volume]'))")
		stroke(t, p, "KeyM", "m")
		until(t, p, "document.querySelector('audio').muted", 3*time.Second)
		reload(t, p)
		until(t, p, "((a) => a.muted && Math.abs(a.volume - 0.09) < 0.001)(document.querySelector('audio'))", 3*time.Second)
		stroke(t, p, "KeyM", "m")
		until(t, p, "!document.querySelector('audio').muted && !document.querySelector('audio').paused && document.querySelector('[aria-label=Volume]').value === '0.3'", 3*time.Second)
	})
	if errs := eval[[]any](t, p, "cloudretro.errors"); len(errs) > 0 {
		t.Errorf("errors in the page: %v", errs)
	}
}
