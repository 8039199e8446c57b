package e2e

import (
	"math"
	"testing"
	"time"
)

// heard is what card.js found in one channel over a window of 0.68 s.
type heard struct{ Hz, Level, Leak, Click float64 }

// TestSound listens to the test card for 5 s: 440 Hz on the left, 660 Hz on the
// right, neither in the other's channel, and no click.
func TestSound(t *testing.T) {
	s := stage(t, Options{})
	p := openCard(t, s.URL+"/play/test-card")
	for _, down := range []bool{true, false} { // browsers play sound after a key only
		if err := p.Key("KeyX", "x", down); err != nil {
			t.Fatal(err)
		}
	}
	until(t, p, "!document.querySelector('audio').paused", 3*time.Second)
	if click := eval[float64](t, p, "card.selfTest()"); math.Abs(click-0.2) > 0.05 {
		t.Fatalf("a step of a fifth is heard as one of %.3f", click)
	}
	eval[bool](t, p, "card.listen()")
	// A busy machine may starve the browser for a moment; a fault of ours comes again and again.
	if err := p.Until("card.clean(0.05) >= 5", 2*time.Minute); err != nil {
		t.Errorf("never 5 s without a click: %v; steps as shares of the level: %v", err,
			eval[[]float64](t, p, "card.sound.windows.flatMap((w) => w.channels.map((c) => c.click))"))
	}
	windows := eval[[][2]heard](t, p, "card.sound.windows.slice(-16).map((w) => w.channels)")
	worst := [2]heard{{Level: 1}, {Level: 1}}
	for _, channels := range windows {
		for i, c := range channels {
			tone := [2]float64{440, 660}[i]
			if math.Abs(c.Hz-tone) > tone*0.005 {
				t.Errorf("channel %d sounds at %.2f Hz, want %.0f", i, c.Hz, tone)
			}
			worst[i] = heard{tone, min(worst[i].Level, c.Level), max(worst[i].Leak, c.Leak), max(worst[i].Click, c.Click)}
		}
	}
	t.Logf("%d windows, worst of left and right: %+v", len(windows), worst)
	for i, c := range worst {
		if math.Abs(c.Level-0.1) > 0.01 {
			t.Errorf("channel %d: level %.4f, want a tenth of full scale", i, c.Level)
		}
		if c.Leak > 0.02 {
			t.Errorf("channel %d has %.1f %% of the other one's tone: not stereo", i, 100*c.Leak)
		}
	}
}
