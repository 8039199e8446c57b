package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// product is ours in real time: the peers, the Sender and the socket of a
// worker, put together as a room does it.
type product struct {
	listener *peer.Listener
	sender   *send.Sender
	stats    send.Stats
	began    time.Time
	keyAsked *atomic.Bool
	peers    []*peer.Peer
	ready    []chan struct{}
}

var _ path = (*product)(nil)

func newProduct(r role, keyAsked *atomic.Bool) (*product, error) {
	p := &product{began: time.Now(), keyAsked: keyAsked}
	var err error
	p.listener, err = peer.Listen(peer.Config{Logger: slog.New(slog.DiscardHandler), Address: r.IP})
	if err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	p.sender = send.New(send.Config{Stats: &p.stats, Now: p.now})
	go func() { _ = p.sender.Run(context.Background()) }() // for as long as the process lives
	return p, nil
}

func (p *product) now() time.Duration { return time.Since(p.began) }

func (p *product) answer(offer string) (string, error) {
	ready := make(chan struct{}, 1)
	browser, err := p.listener.Open(peer.Events{
		Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
		KeyFrame: func() { p.keyAsked.Store(true) },
		Input:    func([]byte) {},
		Control:  func([]byte) {},
	}, peer.Options{})
	if err != nil {
		return "", fmt.Errorf("open peer: %w", err)
	}
	answer, err := browser.Answer(context.Background(), offer, "")
	if err != nil {
		browser.Close()
		return "", fmt.Errorf("answer: %w", err)
	}
	p.sender.Attach(browser.Viewer())
	go func() { _ = browser.Run(context.Background()) }()
	p.peers, p.ready = append(p.peers, browser), append(p.ready, ready)
	return answer, nil
}

func (p *product) open(sink netip.AddrPort) error {
	if sink.IsValid() {
		return fmt.Errorf("send to %v: peers are sent to where they are", sink)
	}
	late := time.After(connectTimeout)
	for i, ready := range p.ready {
		select {
		case <-ready:
		case <-late:
			return fmt.Errorf("viewer %d of %d does not connect", i+1, len(p.ready))
		}
	}
	if t := p.stats.Snapshot(); t.ViewersFast != len(p.peers) {
		return fmt.Errorf("%d of %d viewers are on the fast path", t.ViewersFast, len(p.peers))
	}
	return nil
}

func (p *product) send(picture []byte, key bool, _ uint64) error {
	p.sender.Video(send.Frame{Codec: packetize.H264, Data: picture, Key: key, PTS: p.now()})
	return nil
}

func (p *product) count() counts {
	var c counts
	for _, s := range p.listener.Sockets() {
		c.Syscalls += s.Syscalls
		c.Messages += s.Messages
	}
	return c.of(p.stats.Snapshot())
}
