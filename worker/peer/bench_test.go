package peer

import (
	"log/slog"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
)

// BenchmarkAnswer is what a viewer costs before its first packet.
func BenchmarkAnswer(b *testing.B) {
	l, err := Listen(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	offer := peertest.New(b, peertest.Options{}).Offer()
	nothing := Events{Ready: func() {}, KeyFrame: func() {}, Input: func([]byte) {}, Control: func([]byte) {}}
	for b.Loop() {
		p, err := l.Open(nothing, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Answer(b.Context(), offer, "localhost"); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkSend is a second of a NES game for one viewer over loopback: 60
// pictures of 1 kB and 100 packets of sound.
func BenchmarkSend(b *testing.B) {
	l, err := Listen(Config{Logger: slog.New(slog.DiscardHandler), Address: "127.0.0.1"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ready := make(chan struct{}, 9)
	p, err := l.Open(Events{
		Ready: func() { ready <- struct{}{} }, KeyFrame: func() {}, Input: func([]byte) {}, Control: func([]byte) {},
	}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	browser := peertest.New(b, peertest.Options{})
	answer, err := p.Answer(b.Context(), browser.Offer(), "")
	if err != nil {
		b.Fatal(err)
	}
	browser.Accept(answer)
	peertest.Wait(b, "the connection", ready)
	peertest.Wait(b, "the connection", browser.Connected)
	s := send.New(send.Config{})
	s.Attach(p.Viewer())
	data, sound := accessUnit(true, 1000, 1), make([]byte, 120)
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		for range 60 {
			s.Video(picture(data, true, now))
			now += time.Second / 60
			s.Turn(now)
		}
		for i := range 100 {
			s.Audio(send.Sound{Data: sound, PTS: now + time.Duration(i)*10*time.Millisecond, Duration: 10 * time.Millisecond})
			s.Turn(now + time.Duration(i)*10*time.Millisecond)
		}
	}
}
