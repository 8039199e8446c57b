package e2e

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Show is a Loop and the page that watches it.
type Show struct {
	*Loop
	*Page
}

// StartShow starts a Loop and opens its page; it returns with the first picture.
func StartShow(ctx context.Context, browser *Browser, o LoopOptions) (*Show, error) {
	loop, err := StartLoop(ctx, o)
	if err != nil {
		return nil, err
	}
	page, err := browser.Open(loop.URL)
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	s := &Show{loop, page}
	if err := s.Await("c.pictures > 0", 20*time.Second); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends both.
func (s *Show) Close() error {
	s.Page.Close()
	return s.Loop.Close()
}

// Await waits until an expression of the page's counts c, named as in loop.js, is
// true.
func (s *Show) Await(expression string, timeout time.Duration) error {
	if err := s.Until("loop.counts().then((c) => "+expression+")", timeout); err != nil {
		seen, errSeen := s.Seen()
		return fmt.Errorf("%w; seen: %+v; sent: %+v", errors.Join(err, errSeen), seen, s.Stats())
	}
	return nil
}

// Watch returns what the page was shown when it has been watching that long.
func (s *Show) Watch(d time.Duration) (Seen, error) {
	if err := s.Await(fmt.Sprintf("c.time - c.first >= %d", d.Milliseconds()), d+20*time.Second); err != nil {
		return Seen{}, err
	}
	return s.Seen()
}

// Seen is what a page of a Loop was shown, and what its browser says of the stream
// (W3C webrtc-stats, RTCInboundRtpStreamStats). Times are in ms.
type Seen struct {
	Pictures, Corrupted, Skipped float64
	Jumps                        float64      // back to the key frame before the recording ended
	Where                        [][2]float64 // the first corrupted ones: number, place in the recording
	Late                         [][3]float64 // freezes: when, time since the picture before, and how much of it the browser's thread stood still
	Longest                      float64      // time between two pictures
	First, Time                  float64      // of the first and the last picture
	Format, Decoder              string
	Errors                       []string

	Packets, Lost, Retransmitted float64
	NACKs, PLIs                  float64
	Decoded, Dropped, Keys       float64
	Freezes, Frozen              float64 // by the browser's own rule
	Delay                        float64 // of the jitter buffer, mean
}

// Seen reads what the page was shown so far.
func (p *Page) Seen() (Seen, error) { return Eval[Seen](p, "loop.counts()") }

// Minutes that the page has watched.
func (s Seen) Minutes() float64 { return (s.Time - s.First) / float64(time.Minute/time.Millisecond) }
