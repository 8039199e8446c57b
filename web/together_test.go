package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// does runs a script in the page.
func does(ctx context.Context, t *testing.T, script string) {
	t.Helper()
	run(ctx, t, chromedp.Evaluate[chromedp.Void]("void ("+script+")"))
}

// party is a fake with people in its room, of whom the page is the host.
func party(t *testing.T) *fake {
	t.Helper()
	f := newFake(t)
	f.people = company{Host: true, Members: []person{
		{ID: "m1", Name: "Guest 1", Player: 1, Host: true},
		{ID: "m2", Name: "Ann", Player: 2},
		{ID: "m3", Name: "A spectator with a rather long name", Away: true},
	}}
	return f
}

const share = `document.querySelector('[aria-label="Share the room"]').click()`

func TestTogether(t *testing.T) {
	f := party(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing+` && cloudretro.members.length === 3 && cloudretro.host && !cloudretro.closed`)
	does(ctx, t, `navigator.clipboard.writeText = async (text) => { window.copied = text; }`)
	run(ctx, t, chromedp.Click(chromedp.CSS(`[aria-label="Share the room"]`)))
	until(ctx, t, `document.querySelector('.together') && copied === '`+f.URL+`/room/`+f.room.Room+`'`)
	shoot(ctx, t, "together-host")
	// The bar can still be used, and keys still play.
	run(ctx, t, chromedp.Click(chromedp.CSS(".seat")))
	until(ctx, t, `!document.querySelector('.popover').hidden`)
	run(ctx, t, chromedp.Click(chromedp.CSS(".seat")))

	does(ctx, t, `document.querySelector('[data-key=invite]').click(), document.querySelector('.make select').value = '2', document.querySelector('.make input').click(), document.querySelector('.make [type=submit]').click()`)
	until(ctx, t, `cloudretro.invitations.length === 1 && cloudretro.closed`)
	until(ctx, t, `document.querySelector('[aria-label="Link of the invitation"]').value === '`+f.URL+`/room/`+f.room.Room+`#invite=i1.i1'`)
	until(ctx, t, `document.activeElement.dataset.key === 'made'`)
	until(ctx, t, `/by invitation only/i.test(document.querySelector('.door').innerText) && /Player 2, one person/.test(document.querySelector('[aria-label=Invitations]').innerText)`)
	shoot(ctx, t, "together-invited")
	does(ctx, t, `document.querySelector('[data-key=revoke-i1]').click()`)
	until(ctx, t, `cloudretro.invitations.length === 0 && document.querySelector('.together .link').hidden`)
	does(ctx, t, `document.querySelector('[role=switch]').click()`)
	until(ctx, t, `!cloudretro.closed && document.querySelector('[role=switch]').getAttribute('aria-checked') === 'true'`)

	does(ctx, t, `document.querySelector('[data-key=mute-m2]').click()`)
	until(ctx, t, `cloudretro.members[1].muted && /muted/.test(document.querySelector('[data-member=m2]').innerText)`)
	does(ctx, t, `document.querySelector('[data-key=remove-m3]').click()`)
	until(ctx, t, `document.querySelector('[data-key=remove-m3]').innerText === 'Really remove'`)
	if f.heard("remove m3") != 0 {
		t.Error("removed without being asked twice")
	}
	does(ctx, t, `document.querySelector('[data-key=remove-m3]').click()`)
	until(ctx, t, `cloudretro.members.length === 2`)
	does(ctx, t, `document.querySelector('[data-key=host-m2]').click()`)
	until(ctx, t, `!cloudretro.host && document.querySelector('.together details').hidden && !document.querySelector('[role=switch]')`)
	shoot(ctx, t, "together-guest")
	run(ctx, t, tap("Escape", 27))
	until(ctx, t, `!document.querySelector('.together') && cloudretro.state === 'playing'`)
	noErrors(ctx, t)
}

// TestTogetherByKeys opens the panel, takes an invitation out of it and closes
// it without a pointer; keys that the panel has no use for still play.
func TestTogetherByKeys(t *testing.T) {
	f := party(t)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing+` && cloudretro.host`)
	does(ctx, t, `document.querySelector('[aria-label="Share the room"]').focus()`)
	run(ctx, t, press("Enter", 13))
	until(ctx, t, `document.activeElement.matches('.together')`)
	run(ctx, t, press("Escape", 27))
	until(ctx, t, `!document.querySelector('.together') && document.activeElement.ariaLabel === 'Share the room'`)
	run(ctx, t, press("Enter", 13))
	until(ctx, t, `document.activeElement.matches('.together')`)
	run(ctx, t, key(input.DispatchKeyEventTypeRawKeyDown, "KeyZ", 'Z'))
	wait(t, "A is held", func() bool { return f.buttons() == 1<<8 })
	run(ctx, t, key(input.DispatchKeyEventTypeKeyUp, "KeyZ", 'Z'))
	for !eval[bool](ctx, t, `document.activeElement.dataset.key === 'invite'`) {
		run(ctx, t, press("Tab", 9))
	}
	run(ctx, t, press("Enter", 13))
	until(ctx, t, `document.querySelector('.together details').open`)
	for !eval[bool](ctx, t, `document.activeElement.dataset.key === 'make'`) {
		run(ctx, t, press("Tab", 9))
	}
	run(ctx, t, press("Enter", 13))
	until(ctx, t, `cloudretro.invitations.length === 1 && document.activeElement.dataset.key === 'made'`)
	does(ctx, t, `document.querySelector('.make select').focus()`)
	run(ctx, t, tap("Escape", 27))
	until(ctx, t, `!document.querySelector('.together') && cloudretro.state === 'playing'`)
	noErrors(ctx, t)
}

// press is a key of the browser's own, with what it does by default.
func press(name string, windows int64) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		text := map[string]string{"Enter": "\r"}[name]
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
			_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
				Type: kind, Code: name, Key: name, WindowsVirtualKeyCode: windows, Text: text,
			})
			if err != nil {
				return err
			}
			text = ""
		}
		return nil
	})
}

func TestTogetherOnAPhone(t *testing.T) {
	f := party(t)
	ctx := browser(t, 390, 844, chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
	until(ctx, t, playing+` && cloudretro.members.length === 3`)
	does(ctx, t, share)
	until(ctx, t, `document.querySelector('.together')`)
	does(ctx, t, `document.querySelector('[data-key=invite]').click(), document.querySelector('.make [type=submit]').click()`)
	until(ctx, t, `cloudretro.invitations.length === 1`)
	if eval[bool](ctx, t, `document.documentElement.scrollWidth > innerWidth || [...document.querySelectorAll('.together *')].some((e) => e.getBoundingClientRect().right > innerWidth + 1)`) {
		t.Error("the panel is wider than the screen")
	}
	shoot(ctx, t, "phone-together")
	does(ctx, t, `document.querySelector('.together').scrollTo(0, 9999)`)
	shoot(ctx, t, "phone-together-end")
	does(ctx, t, `document.querySelector('[data-key=done]').click()`)
	until(ctx, t, `!document.querySelector('.together')`)
	noErrors(ctx, t)
}

func TestInvited(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 1280, 800)
	room := f.URL + "/room/" + f.room.Room
	run(ctx, t, chromedp.Navigate(room+"#invite=i1.abc"))
	until(ctx, t, playing)
	wait(t, "the invitation", func() bool { return f.heard("join 0 invited i1.abc") == 1 })
	if at := eval[string](ctx, t, `location.href`); at != room {
		t.Errorf("the address is %s", at)
	}
	for _, c := range []struct {
		code signal.Code
		says string
	}{
		{signal.CodeExpired, "This invitation has expired"},
		{signal.CodeRevoked, "This invitation was taken back"},
		{signal.CodeUsed, "This invitation has been used"},
		{signal.CodeInvite, "This room is by invitation only"},
		{signal.CodeDenied, "This invitation is not valid"},
		{signal.CodeRemoved, "You were removed from the room"},
	} {
		f.mu.Lock()
		f.refuse = &signal.Error{Code: c.code, Message: "words of the worker"}
		f.mu.Unlock()
		// Another invitation in the same tab: only the fragment changes.
		does(ctx, t, fmt.Sprintf(`location.hash = 'invite=i1.%s'`, c.code))
		until(ctx, t, fmt.Sprintf(`cloudretro.error?.code === %q && document.querySelector('.panel')`, c.code))
		text := eval[string](ctx, t, `document.querySelector('.panel').innerText`)
		if !strings.Contains(text, c.says) || !strings.Contains(text, "Words of the worker.") {
			t.Errorf("%s: %q", c.code, text)
		}
		shoot(ctx, t, "invitation-"+string(c.code))
	}
	if eval[bool](ctx, t, `sessionStorage.getItem('cloudretro.session') !== null`) {
		t.Error("who was removed keeps the session's token")
	}
	noErrors(ctx, t)
}

func TestRemoved(t *testing.T) {
	f := newFake(t)
	ctx := browser(t, 390, 844)
	run(ctx, t, chromedp.Navigate(f.URL+"/room/"+f.room.Room))
	until(ctx, t, playing)
	f.say(signal.TypeClosed, signal.Closed{Reason: "the host has removed you from the room", Code: signal.CodeRemoved})
	until(ctx, t, `cloudretro.error?.code === 'removed' && /You were removed/.test(document.querySelector('.panel')?.innerText)`)
	shoot(ctx, t, "phone-removed")
	noErrors(ctx, t)
}
