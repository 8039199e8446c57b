package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestSaves saves and loads by buttons and by keys, and while no server is there.
func TestSaves(t *testing.T) {
	f := newFake(t)
	f.people.Members = []person{{ID: "m1", Name: "Bo", Player: 1, Host: true}}
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing+` && cloudretro.members.length === 1`)
	const load = `document.querySelector('[aria-label=Load]')`
	if !eval[bool](ctx, t, load+`.disabled && !document.querySelector('[aria-label=Save]').disabled`) {
		t.Error("one can load before anything was saved, or cannot save")
	}
	run(ctx, t, chromedp.Click(chromedp.CSS("[aria-label=Save]")))
	until(ctx, t, `/Saved/.test(document.querySelector('.notes').innerText) && cloudretro.saved > 0 && !`+load+`.disabled`)
	shoot(ctx, t, "saved")
	f.dropSockets()
	run(ctx, t, chromedp.Click(chromedp.CSS("[aria-label=Load]")))
	until(ctx, t, `/Loaded/.test(document.querySelector('.notes').innerText)`)
	run(ctx, t, tap("F2", 113))
	wait(t, "a save by key", func() bool { return f.heard("control:save") == 2 })
	run(ctx, t, tap("F4", 115))
	wait(t, "a load by key", func() bool { return f.heard("control:load") == 2 })
	f.tell(map[string]any{"type": "loaded", "by": "Ann", "member": "m2"})
	until(ctx, t, `/Ann loaded the game/.test(document.querySelector('.notes').innerText)`)
	f.tell(map[string]any{"type": "room", "player": 0, "seats": 2, "saved": 1})
	until(ctx, t, load+`.hidden && document.querySelector('[aria-label=Save]').hidden`)
	noErrors(ctx, t)
}
