package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func library() []signal.Game {
	return []signal.Game{
		{ID: "quad", Title: "Quad", System: "nes", Players: 2},
		{ID: "sir-ababol", Title: "Sir Ababol", System: "nes", Players: 1},
		{ID: "nova-the-squirrel", Title: "Nova the Squirrel", System: "nes", Players: 1},
		{ID: "blade-buster", Title: "Blade Buster", System: "nes", Players: 1},
		{ID: "alter-ego", Title: "Alter Ego", System: "nes", Players: 1},
		{ID: "lan-master", Title: "Lan Master", System: "nes", Players: 1},
		{ID: "ucity", Title: "µCity", System: "gbc", Players: 1},
		{ID: "tobu-tobu-girl", Title: "Tobu Tobu Girl", System: "gb", Players: 1},
		{ID: "anguna", Title: "Anguna: Warriors of Virtue", System: "gba", Players: 1},
		{ID: "goodboy-galaxy", Title: "Goodboy Galaxy", System: "gba", Players: 1},
		{ID: "celeste-classic", Title: "Celeste Classic", System: "gba"},
		{ID: "super-boss-gaiden", Title: "Super Boss Gaiden", System: "snes", Players: 1},
		{ID: "test-card", Title: "Test card", System: "test", Players: 2},
	}
}

func TestMenu(t *testing.T) {
	f := newFake(t)
	f.games = library()
	ctx := browser(t, 1280, 900)
	run(ctx, t, chromedp.Navigate(f.URL+"/"))
	until(ctx, t, `document.querySelectorAll('.card').length === 13 && cloudretro.state === 'menu'`)
	shoot(ctx, t, "menu")
	if first := eval[string](ctx, t, `document.querySelector('.shelf h2 span').innerText`); first != "NES" {
		t.Errorf("the first shelf is %q", first)
	}
	if eval[bool](ctx, t, `cloudretro.pc !== null`) || f.heard("connect") != 0 {
		t.Error("the menu holds a connection")
	}
	run(ctx, t, tap("ArrowDown", 40), tap("ArrowRight", 39))
	until(ctx, t, `document.activeElement.dataset.game === 'blade-buster'`)
	shoot(ctx, t, "menu-focus")
	run(ctx, t, tap("Slash", 191)) // focuses the search by its character
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`{ const s = document.querySelector('#search'); s.value = 'advance good'; s.dispatchEvent(new Event('input')) }`))
	until(ctx, t, `document.querySelectorAll('.card').length === 1`)
	run(ctx, t, chromedp.Click(chromedp.CSS(".card")))
	until(ctx, t, playing)
	run(ctx, t, chromedp.Evaluate[chromedp.Void](`history.back()`))
	until(ctx, t, `cloudretro.state === 'menu' && document.querySelectorAll('.card').length === 13`)
	wait(t, "leave", func() bool { return f.heard("leave") == 1 })
	noErrors(ctx, t)
}

func TestMenuRefreshes(t *testing.T) {
	f := newFake(t)
	f.games = nil
	ctx := browser(t, 1280, 900)
	run(ctx, t, chromedp.Navigate(f.URL+"/"))
	until(ctx, t, `/No games yet/.test(document.body.innerText)`)
	shoot(ctx, t, "menu-empty")
	f.mu.Lock()
	f.games = library()[:2]
	f.mu.Unlock()
	until(ctx, t, `document.querySelectorAll('.card').length === 2`)
	shoot(ctx, t, "menu-few")
}

func TestUnknownAddress(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 900)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/Not%20A%20Game"))
	until(ctx, t, `window.cloudretro?.state === 'error' && /Nothing is here/.test(document.body.innerText)`)
	if f.heard("connect") != 0 {
		t.Error("the server was asked")
	}
}
