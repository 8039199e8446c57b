package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

//go:embed card.js
var cardScript string

// Bits of libretro.h, RETRO_DEVICE_ID_JOYPAD_*.
const (
	bitB = iota
	bitY
	bitSelect
	bitStart
	bitUp
	bitDown
	bitLeft
	bitRight
	bitA
	bitX
	bitL
	bitR
	bitL2
	bitR2
	bitL3
	bitR3
)

// openCard shows the test card in a page that can read it.
func openCard(t *testing.T, url string) *Page {
	t.Helper()
	p := open(t, url)
	eval[bool](t, p, cardScript+"; true")
	until(t, p, "card.held() === 0", 3*time.Second)
	return p
}

// shows waits until the picture's watermark has exactly these buttons of player 1.
func shows(t *testing.T, p *Page, buttons int, what string) {
	t.Helper()
	if err := p.Until(fmt.Sprintf("card.held() === %d", buttons), patient); err != nil {
		t.Fatalf("%s: the machine saw %#x, want %#x (%v)", what, eval[float64](t, p, "card.held() ?? -1"), buttons, err)
	}
}

// TestEveryPadButton presses each button and pushes each axis of a standard game
// pad and reads in the picture what the machine saw.
func TestEveryPadButton(t *testing.T) {
	s := stage(t, Options{})
	p := openCard(t, s.URL+"/play/test-card")
	eval[bool](t, p, "card.plug()")
	// By the index of the W3C standard mapping: the lower of the four is libretro's B.
	standard := []int{
		bitB, bitA, bitY, bitX, bitL, bitR, bitL2, bitR2,
		bitSelect, bitStart, bitL3, bitR3, bitUp, bitDown, bitLeft, bitRight,
	}
	for index, bit := range standard {
		eval[bool](t, p, fmt.Sprintf("card.press(%d, 1)", index))
		shows(t, p, 1<<bit, fmt.Sprintf("button %d", index))
		eval[bool](t, p, fmt.Sprintf("card.press(%d, 0)", index))
		shows(t, p, 0, fmt.Sprintf("button %d let go", index))
	}
	t.Run("all at once", func(t *testing.T) {
		eval[bool](t, p, "card.pads[0].buttons.forEach((_, i) => card.press(i, 1)) ?? true")
		shows(t, p, 0xffff, "all")
		eval[bool](t, p, "card.pads[0].buttons.forEach((_, i) => card.press(i, 0)) ?? true")
		shows(t, p, 0, "all let go")
	})
	t.Run("half a trigger", func(t *testing.T) {
		eval[bool](t, p, "card.press(6, 0.4)")
		shows(t, p, 1<<bitL2, "L2 at 0.4")
		eval[bool](t, p, "card.press(6, 0.1)")
		shows(t, p, 0, "L2 at 0.1")
	})
	t.Run("sticks", func(t *testing.T) { everyAxis(t, p) })
	t.Run("unplugged", func(t *testing.T) {
		eval[bool](t, p, "card.press(0, 1)")
		shows(t, p, 1<<bitB, "before")
		eval[bool](t, p, "card.unplug()")
		shows(t, p, 0, "after")
	})
}

// everyAxis pushes each axis both ways; the left stick is the d-pad as well.
func everyAxis(t *testing.T, p *Page) {
	t.Helper()
	dpad := [4][2]int{{1 << bitLeft, 1 << bitRight}, {1 << bitUp, 1 << bitDown}}
	for axis := range 4 {
		for way, value := range []int{-1, 1} {
			pushed, drawn := [4]int{}, [4]int{}
			pushed[axis], drawn[axis] = value, 12*value
			eval[bool](t, p, fmt.Sprintf("card.push(%d, %d, %d, %d)", pushed[0], pushed[1], pushed[2], pushed[3]))
			shows(t, p, dpad[axis][way], fmt.Sprintf("axis %d at %d", axis, value))
			// A column in the middle of the bar is white, and chroma blurs a little.
			want := fmt.Sprintf("card.read()?.rows[0].axes.every((v, i) => Math.abs(v - %v[i]) <= 2)",
				strings.ReplaceAll(fmt.Sprint(drawn), " ", ","))
			if err := p.Until(want, patient); err != nil {
				t.Errorf("axis %d at %d: the machine saw %v, want %v", axis, value, eval[[]int](t, p, "card.read().rows[0].axes"), drawn)
			}
			eval[bool](t, p, "card.push(0, 0, 0, 0)")
			until(t, p, "((r) => r?.buttons === 0 && r.rows[0].axes.every((v) => v === 0))(card.read())", 3*time.Second)
		}
	}
}

// TestEveryKey presses each key of the keyboard's pad.
func TestEveryKey(t *testing.T) {
	s := stage(t, Options{})
	p := openCard(t, s.URL+"/play/test-card")
	for _, k := range []struct {
		code, key string
		bit       int
	}{
		{"ArrowUp", "ArrowUp", bitUp},
		{"ArrowDown", "ArrowDown", bitDown},
		{"ArrowLeft", "ArrowLeft", bitLeft},
		{"ArrowRight", "ArrowRight", bitRight},
		{"KeyZ", "z", bitA},
		{"KeyX", "x", bitB},
		{"KeyC", "c", bitX},
		{"KeyV", "v", bitY},
		{"KeyA", "a", bitL},
		{"KeyS", "s", bitR},
		{"Semicolon", ";", bitL2},
		{"Quote", "'", bitR2},
		{"Period", ".", bitL3},
		{"Slash", "/", bitR3},
		{"Enter", "Enter", bitStart},
		{"ShiftLeft", "Shift", bitSelect},
		{"ShiftRight", "Shift", bitSelect},
	} {
		if err := p.Key(k.code, k.key, true); err != nil {
			t.Fatal(err)
		}
		shows(t, p, 1<<k.bit, k.code)
		if err := p.Key(k.code, k.key, false); err != nil {
			t.Fatal(err)
		}
		shows(t, p, 0, k.code+" let go")
	}
	t.Run("three at once", func(t *testing.T) {
		for _, code := range []string{"ArrowUp", "ArrowRight", "KeyX"} {
			if err := p.Key(code, code, true); err != nil {
				t.Fatal(err)
			}
		}
		shows(t, p, 1<<bitUp|1<<bitRight|1<<bitB, "three keys")
		// A window that loses the keyboard must not keep a button down.
		eval[bool](t, p, "window.dispatchEvent(new Event('blur'))")
		shows(t, p, 0, "after the window lost the keyboard")
	})
}

// TestSecondPlayersButtons reads player 2's row in the pictures of both players.
func TestSecondPlayersButtons(t *testing.T) {
	s := stage(t, Options{})
	host := openCard(t, s.URL+"/play/test-card")
	guest := openCard(t, s.URL+"/room/"+eval[string](t, host, "window.cloudretro.room"))
	eval[bool](t, guest, "card.plug()")
	for index, bit := range map[int]int{0: bitB, 9: bitStart, 15: bitRight} {
		eval[bool](t, guest, fmt.Sprintf("card.press(%d, 1)", index))
		want := fmt.Sprintf("((r) => r?.rows[1].buttons === %d && r.buttons === 0 && r.rows[0].buttons === 0)(card.read())", 1<<bit)
		until(t, guest, want, 3*time.Second)
		until(t, host, want, 3*time.Second)
		eval[bool](t, guest, fmt.Sprintf("card.press(%d, 0)", index))
		until(t, host, "card.read()?.rows[1].buttons === 0", 3*time.Second)
	}
}

// openPhone shows a page on an emulated phone.
func openPhone(t *testing.T, url string, width, height int64) *Page {
	t.Helper()
	p, err := suite.browser.Open("about:blank")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	phone := chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
	if err := errors.Join(chromedp.Do(p.ctx, phone, chromedp.Navigate(url)), p.AwaitPicture()); err != nil {
		t.Fatal(err)
	}
	return p
}

// touch puts fingers on these places; none lifts all that are down.
func touch(t *testing.T, p *Page, points ...[2]float64) {
	t.Helper()
	params := input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{}}
	if len(points) == 0 {
		params.Type = input.DispatchTouchEventTypeTouchEnd
	}
	for i, at := range points {
		id := float64(i + 1)
		params.TouchPoints = append(params.TouchPoints, &input.TouchPoint{X: at[0], Y: at[1], ID: &id})
	}
	if err := chromedp.Do(p.ctx, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, input.DispatchTouchEvent, params)
		return chromedp.Void{}, err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestTouchPad puts a finger on every part of the touch pad, in both orientations.
func TestTouchPad(t *testing.T) {
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"portrait", 390, 844}, {"landscape", 844, 390}, {"small", 320, 568}} {
		t.Run(screen.name, func(t *testing.T) {
			s := stage(t, Options{})
			p := openPhone(t, s.URL+"/play/test-card", screen.width, screen.height)
			eval[bool](t, p, cardScript+"; true")
			until(t, p, "card.held() === 0 && !document.querySelector('.touch').hidden", 3*time.Second)
			for _, part := range []struct {
				selector string
				buttons  int
			}{
				{".cross .up", 1 << bitUp},
				{".cross .down", 1 << bitDown},
				{".cross .left", 1 << bitLeft},
				{".cross .right", 1 << bitRight},
				{".key-a", 1 << bitA},
				{".key-b", 1 << bitB},
				{".key-x", 1 << bitX},
				{".key-y", 1 << bitY},
				{".key-l", 1 << bitL},
				{".key-r", 1 << bitR},
				{".key-start", 1 << bitStart},
				{".key-select", 1 << bitSelect},
			} {
				touch(t, p, middle(t, p, part.selector))
				shows(t, p, part.buttons, part.selector)
				touch(t, p)
				shows(t, p, 0, part.selector+" let go")
			}
			touch(t, p, middle(t, p, ".cross .left"), middle(t, p, ".key-b"))
			shows(t, p, 1<<bitLeft|1<<bitB, "two fingers")
			touch(t, p)
			shows(t, p, 0, "two fingers let go")
			staysPut(t, p)
		})
	}
}

func middle(t *testing.T, p *Page, selector string) [2]float64 {
	t.Helper()
	return eval[[2]float64](t, p, fmt.Sprintf(
		"(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()", selector))
}

// staysPut checks a phone in play: nothing scrolls or zooms, and every part is as large as a thumb.
func staysPut(t *testing.T, p *Page) {
	t.Helper()
	a := middle(t, p, ".key-a")
	for range 2 { // a double tap would zoom
		touch(t, p, a)
		touch(t, p)
	}
	if got := eval[[]float64](t, p, "[visualViewport.scale, scrollX, scrollY, visualViewport.offsetTop]"); !slices.Equal(got, []float64{1, 0, 0, 0}) {
		t.Errorf("scale and scroll are %v", got)
	}
	if eval[bool](t, p, "document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight") {
		t.Error("the page is larger than the screen")
	}
	small := eval[[]string](t, p, `[...document.querySelectorAll('.key, .bar button')].filter((e) => e.offsetParent).flatMap((e) => {
		const r = e.getBoundingClientRect(), grow = (which) => { // an invisible edge counts: it takes the finger
			const s = getComputedStyle(e, '::after');
			return s.content === 'none' || s.position !== 'absolute' ? 0 : -parseFloat(s[which]) * 2;
		};
		const w = r.width + Math.max(0, grow('left')), h = r.height + Math.max(0, grow('top'));
		return w >= 43.5 && h >= 43.5 ? [] : [(e.ariaLabel ?? e.className) + ' ' + w.toFixed(1) + 'x' + h.toFixed(1)];
	})`)
	if len(small) > 0 {
		t.Errorf("smaller than 44 px: %v", small)
	}
	outside := eval[[]string](t, p, `[...document.querySelectorAll('.key, .cross, .bar button')].filter((e) => e.offsetParent).filter((e) => {
		const r = e.getBoundingClientRect();
		return r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight;
	}).map((e) => e.ariaLabel ?? e.className)`)
	if len(outside) > 0 {
		t.Errorf("outside the screen: %v", outside)
	}
}
