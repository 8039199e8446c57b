package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/webrtc/v3"
)

// The data channels, negotiated by agreement: both sides make them with these ids.
const (
	inputID   uint16 = 0 // unordered, never resent
	controlID uint16 = 1 // ordered, reliable, JSON
)

// Sizes of the largest messages that are read whole. Of a larger one so much is
// delivered that the owner sees that it is too large.
const (
	maxInput   = 1 << 10  // bytes
	maxControl = 16 << 10 // bytes
)

// reader is the reading side of a channel as pion hands it out.
type reader interface {
	ReadDataChannel(b []byte) (n int, isString bool, err error)
	SetReadDeadline(t time.Time) error
}

func (p *Peer) addChannels() error {
	yes, no, id, none := true, false, inputID, uint16(0)
	input, err := p.pc.CreateDataChannel("input", &webrtc.DataChannelInit{
		Negotiated: &yes, ID: &id, Ordered: &no, MaxRetransmits: &none,
	})
	if err != nil {
		return fmt.Errorf("make channel input: %w", err)
	}
	input.OnOpen(func() { p.read(input, maxInput, p.events.Input) })

	ordered, second := true, controlID
	control, err := p.pc.CreateDataChannel("control", &webrtc.DataChannelInit{
		Negotiated: &yes, ID: &second, Ordered: &ordered,
	})
	if err != nil {
		return fmt.Errorf("make channel control: %w", err)
	}
	p.control = control
	control.OnOpen(func() {
		p.controlOpened()
		p.read(control, maxControl, p.events.Control)
	})
	control.OnBufferedAmountLow(p.controlDrained)
	p.pc.SCTP().OnClose(func(error) { p.finish(ErrLeft) }) // even before the channel opened
	p.pc.OnDataChannel(func(*webrtc.DataChannel) {
		p.finish(fmt.Errorf("%w: it opens data channels of its own", ErrLost))
	})
	return nil
}

// read delivers what comes on an open channel until the browser closes it or
// the peer is freed. We read, not pion (SettingEngine.DetachDataChannels): its
// loops never end if the browser left while the channels were being opened, and
// closing the connection waits for them.
func (p *Peer) read(channel *webrtc.DataChannel, limit int, deliver func([]byte)) {
	detached, err := channel.Detach()
	if err != nil {
		p.finish(fmt.Errorf("%w: read channel %s: %w", ErrLost, channel.Label(), err))
		return
	}
	r := detached.(reader)
	if !p.addReader(r) {
		return
	}
	defer p.reading.Done()
	buf := make([]byte, limit+1)
	for {
		n, _, err := r.ReadDataChannel(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			n = len(buf)
		case err != nil:
			p.finish(ErrLeft)
			return
		}
		deliver(bytes.Clone(buf[:n]))
	}
}

// addReader notes a channel that is read; false if it is too late for that.
func (p *Peer) addReader(r reader) bool {
	p.talk.Lock()
	defer p.talk.Unlock()
	if p.freed {
		return false
	}
	p.readers = append(p.readers, r)
	p.reading.Add(1)
	return true
}

// stopReading makes the reading of the channels end; no new one begins.
func (p *Peer) stopReading() {
	p.talk.Lock()
	defer p.talk.Unlock()
	p.freed = true
	for _, r := range p.readers {
		_ = r.SetReadDeadline(time.Unix(0, 0)) // it cannot fail
	}
}

func (p *Peer) controlDrained() {
	select {
	case p.drained <- struct{}{}:
	default:
	}
}

// Control sends a JSON message, now or as soon as the channel opens. It never
// blocks: a browser that does not read loses messages, and Stats counts them.
func (p *Peer) Control(message []byte) {
	p.talk.Lock()
	defer p.talk.Unlock()
	switch {
	case p.open:
		p.say(string(message))
	case len(p.pending) < controlQueue:
		p.pending = append(p.pending, string(message))
	default:
		p.controlsDropped.Add(1)
	}
}

func (p *Peer) controlOpened() {
	p.talk.Lock()
	defer p.talk.Unlock()
	p.open = true
	for _, m := range p.pending {
		p.say(m)
	}
	p.pending = nil
	p.controlDrained()
}

// say hands a message to SCTP, which queues it.
func (p *Peer) say(message string) {
	if p.control.BufferedAmount() > controlBytes || p.control.SendText(message) != nil {
		p.controlsDropped.Add(1)
		return
	}
	p.controls.Add(1)
}

// flushControl gives the last messages, which say why the peer ends, the time
// to be acknowledged.
func (p *Peer) flushControl() {
	timeout := time.NewTimer(flushTimeout)
	defer timeout.Stop()
	for p.controlBusy() {
		select {
		case <-p.drained:
		case <-timeout.C:
			return
		}
	}
}

func (p *Peer) controlBusy() bool {
	p.talk.Lock()
	defer p.talk.Unlock()
	if !p.open {
		return p.ready.Load() && len(p.pending) > 0
	}
	return p.control.ReadyState() == webrtc.DataChannelStateOpen && p.control.BufferedAmount() > 0
}
