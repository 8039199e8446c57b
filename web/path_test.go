package web_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// TestPathGone: who loses the way to a game sees that the page looks for another,
// is told when there is none, and is let into the same room again.
func TestPathGone(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
	}{{"desktop", 1280, 800}, {"phone", 390, 844}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			ctx := browser(t, c.width, c.height, chromedp.EmulateViewport(int64(c.width), int64(c.height)))
			run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
			until(ctx, t, playing)
			f.road.cut.Store(true)
			until(ctx, t, `cloudretro.state === 'reconnecting' && document.querySelector('.badge:not([aria-live=off])').innerText === 'reconnecting'`)
			f.road.cut.Store(false)
			until(ctx, t, `cloudretro.state === 'playing' && document.querySelector('.badge').innerText === ''`)
			f.road.cut.Store(true)
			until(ctx, t, `document.querySelector('.badge[aria-live=off]')?.innerText === 'reconnecting'`) // not read out each time
			shoot(ctx, t, "reconnecting-"+c.name)
			f.say(signal.TypeClosed, signal.Closed{Reason: "the connection to the browser was lost", Code: signal.CodeLost})
			until(ctx, t, `document.querySelector('.panel')?.dataset.code === 'lost-path' && document.activeElement.innerText === 'Try again'`)
			shoot(ctx, t, "lost-path-"+c.name)
			f.road.cut.Store(false)
			does(ctx, t, `document.activeElement.click()`)
			until(ctx, t, playing)
			if f.heard("join") != 1 {
				t.Error("it is not the same room")
			}
		})
	}
}

// TestNoPathYet: while a first path is looked for, the page offers the other way.
func TestNoPathYet(t *testing.T) {
	for _, c := range []struct{ query, hint, button, next string }{
		{"", "This page keeps trying; if a firewall blocks UDP, a relay may help.", "Try through a relay", "?relay=1"},
		{"?relay=1", "No relay leads to the worker yet.", "Try the direct path", ""},
	} {
		t.Run("query"+c.query, func(t *testing.T) {
			f := newFake(t)
			f.road.cut.Store(true)
			ctx := browser(t, 390, 844, chromedp.EmulateViewport(390, 844))
			run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"+c.query))
			until(ctx, t, fmt.Sprintf(`document.querySelector('.hint')?.innerText.includes(%q)`, c.hint))
			shoot(ctx, t, "no-path-yet"+c.query)
			until(ctx, t, fmt.Sprintf(`document.querySelector('.hint button')?.innerText === %q`, c.button))
			does(ctx, t, `document.querySelector('.hint button').click()`)
			until(ctx, t, fmt.Sprintf(`location.search === %q`, c.next))
			noErrors(ctx, t)
		})
	}
}
