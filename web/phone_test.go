package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// touchAt presses fingers on the middles of elements; none lifts them all.
func touchAt(kind input.DispatchTouchEventType, points ...[2]float64) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		params := input.DispatchTouchEventParams{Type: kind, TouchPoints: []*input.TouchPoint{}}
		for i, p := range points {
			id := float64(i + 1)
			params.TouchPoints = append(params.TouchPoints, &input.TouchPoint{X: p[0], Y: p[1], ID: &id})
		}
		_, err := cdp.Call(ctx, t, input.DispatchTouchEvent, params)
		return err
	})
}

// spot is a place within an element, 0..1 of its size.
func spot(ctx context.Context, t *testing.T, selector string, x, y string) [2]float64 {
	t.Helper()
	v := eval[[]float64](ctx, t, `(() => { const r = document.querySelector('`+selector+`').getBoundingClientRect(); return [r.x + r.width * `+x+`, r.y + r.height * `+y+`] })()`)
	return [2]float64{v[0], v[1]}
}

func TestPhone(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int64
		system        string
	}{
		{"portrait", 390, 844, "nes"},
		{"landscape", 844, 390, "nes"},
		{"portrait-snes", 360, 740, "snes"},
		{"landscape-snes", 740, 360, "snes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.room.System = c.system
			f.games = library()
			ctx := browser(t, int(c.width), int(c.height), chromedp.EmulateViewport(c.width, c.height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
			run(ctx, t, chromedp.Navigate(f.URL+"/"))
			until(ctx, t, `document.querySelectorAll('.card').length > 0`)
			shoot(ctx, t, "phone-menu-"+c.name)
			run(ctx, t, chromedp.Navigate(f.URL+"/play/quad"))
			until(ctx, t, playing+` && !document.querySelector('.touch').hidden`)
			if eval[bool](ctx, t, `document.documentElement.scrollWidth > innerWidth`) {
				t.Error("the page is wider than the screen")
			}
			// Every button of the bar is on the screen, beside the others, and large enough.
			if bad := eval[string](ctx, t, `(() => {
				let end = 0;
				for (const b of document.querySelectorAll('.bar button.icon-button, .bar .seat')) {
					const r = b.getBoundingClientRect();
					if (r.width === 0) continue;
					if (r.left < end - 0.5 || r.right > innerWidth + 0.5 || r.width < 30 || r.height < 36) return b.outerHTML + ' ' + JSON.stringify(r);
					end = r.right;
				}
				return '';
			})()`); bad != "" {
				t.Errorf("the bar has no room for %s", bad)
			}
			diagonal, a := spot(ctx, t, ".cross", "0.9", "0.1"), spot(ctx, t, ".key-a", "0.5", "0.5")
			run(ctx, t, touchAt(input.DispatchTouchEventTypeTouchStart, diagonal, a))
			wait(t, "up, right and A", func() bool { return f.buttons() == 1<<4|1<<7|1<<8 })
			shoot(ctx, t, "phone-"+c.name)
			run(ctx, t, touchAt(input.DispatchTouchEventTypeTouchEnd))
			wait(t, "nothing is held", func() bool { return f.buttons() == 0 })
			start := spot(ctx, t, ".key-start", "0.5", "0.5")
			run(ctx, t, touchAt(input.DispatchTouchEventTypeTouchStart, start))
			wait(t, "start", func() bool { return f.buttons() == 1<<3 })
			run(ctx, t, touchAt(input.DispatchTouchEventTypeTouchEnd))
			noErrors(ctx, t)
		})
	}
}
