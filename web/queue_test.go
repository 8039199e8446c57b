package web_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestQueue(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
	}{{"desktop", 1280, 800}, {"phone", 390, 844}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.queue = &signal.Queued{Position: 3, Waiting: 12, Token: "place"}
			ctx := browser(t, c.width, c.height)
			run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
			until(ctx, t, `window.cloudretro?.state === 'queued' && cloudretro.queue.position === 3 && cloudretro.pc === null`)
			until(ctx, t, `/You are number 3 in line \(of 12\)/.test(document.querySelector('.place')?.innerText) && document.title === '(3) Quad · in line'`)
			until(ctx, t, `document.querySelector('.step[role=status]').textContent === 'You are number 3 in line (of 12).'`)
			shoot(ctx, t, "queue-"+c.name)
			f.say(signal.TypeQueued, signal.Queued{Position: 2, Waiting: 11})
			until(ctx, t, `cloudretro.queue.position === 2 && document.title.startsWith('(2)')`)
			if !eval[bool](ctx, t, `/number 3/.test(document.querySelector('.step').textContent)`) {
				t.Error("each step is read out")
			}
			f.dropSockets()
			wait(t, "the place is kept", func() bool { return f.heard("resume") == 1 && f.heard("start") == 2 })
			until(ctx, t, `cloudretro.state === 'queued' && cloudretro.queue.position === 3`)
			f.say(signal.TypeGranted, signal.Granted{Ticket: "mine", Seconds: 15, ICEServers: []signal.ICEServer{}})
			until(ctx, t, playing+` && cloudretro.queue === null`)
			until(ctx, t, `document.querySelector('.curtain').hidden && document.title === 'Quad · CloudRetro'`)
			if f.heard("start 0 ticket mine") != 1 {
				t.Error("the game was not started with the ticket")
			}
			noErrors(ctx, t)
		})
	}
}

func TestQueueIsLeft(t *testing.T) {
	f := newFake(t)
	f.queue = &signal.Queued{Position: 1, Waiting: 1, Token: "place"}
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, `window.cloudretro?.state === 'queued'`)
	// A page that is loaded anew keeps its place.
	does(ctx, t, `location.reload()`)
	wait(t, "resume", func() bool { return f.heard("resume") == 1 })
	until(ctx, t, `window.cloudretro?.state === 'queued'`)
	f.say(signal.TypeError, signal.Error{Code: signal.CodeExpired, Message: ""})
	until(ctx, t, `/Your turn has passed/.test(document.querySelector('.panel')?.innerText)`)
	shoot(ctx, t, "queue-passed")
	run(ctx, t, chromedp.Click(chromedp.CSS(".panel .primary")))
	until(ctx, t, `cloudretro.state === 'queued'`)
	run(ctx, t, chromedp.Click(chromedp.CSS(".curtain .button")))
	until(ctx, t, `cloudretro.state === 'menu' && location.pathname === '/' && sessionStorage.getItem('cloudretro.session') === null`)
	wait(t, "leave", func() bool { return f.heard("leave") >= 1 })
	noErrors(ctx, t)
}

// TestQueueOfARegion: who waits in a region may as well play anywhere.
func TestQueueOfARegion(t *testing.T) {
	f := newFake(t)
	f.zones = map[string]time.Duration{"eu": 0, "us": 0}
	f.queue = &signal.Queued{Position: 1, Waiting: 1, Token: "place"}
	ctx := browser(t, 390, 844)
	run(ctx, t, chromedp.Navigate(f.URL+"/"))
	until(ctx, t, `document.querySelector('#region option[value=us]')`)
	does(ctx, t, `((s) => (s.value = 'us', s.dispatchEvent(new Event('change'))))(document.querySelector('#region'))`)
	run(ctx, t, chromedp.Click(chromedp.CSS("[data-game=quad]")))
	until(ctx, t, `window.cloudretro?.state === 'queued' && /a machine in us is free/.test(document.querySelector('.hint').innerText)`)
	shoot(ctx, t, "queue-region")
	run(ctx, t, chromedp.Click(chromedp.CSS(".curtain .button")))
	wait(t, "anywhere", func() bool { return f.heard("start 0 zone us") == 1 && f.heard("start") == 2 })
	until(ctx, t, `cloudretro.state === 'queued' && cloudretro.zones.choice === '' && document.querySelectorAll('.curtain .button').length === 1`)
	noErrors(ctx, t)
}
