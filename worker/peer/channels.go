package peer

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v3"
)

// The data channels, negotiated by agreement: both sides make them with these ids.
const (
	inputID   uint16 = 0 // unordered, never resent
	controlID uint16 = 1 // ordered, reliable, JSON
)

func (p *Peer) addChannels() error {
	yes, no, id, none := true, false, inputID, uint16(0)
	input, err := p.pc.CreateDataChannel("input", &webrtc.DataChannelInit{
		Negotiated: &yes, ID: &id, Ordered: &no, MaxRetransmits: &none,
	})
	if err != nil {
		return fmt.Errorf("make channel input: %w", err)
	}
	input.OnMessage(func(m webrtc.DataChannelMessage) { p.events.Input(m.Data) })

	ordered, second := true, controlID
	control, err := p.pc.CreateDataChannel("control", &webrtc.DataChannelInit{
		Negotiated: &yes, ID: &second, Ordered: &ordered,
	})
	if err != nil {
		return fmt.Errorf("make channel control: %w", err)
	}
	p.control = control
	control.OnOpen(p.controlOpened)
	control.OnMessage(func(m webrtc.DataChannelMessage) { p.events.Control(m.Data) })
	control.OnClose(func() { p.finish(ErrLeft) })
	control.OnBufferedAmountLow(p.controlDrained)
	p.pc.SCTP().OnClose(func(error) { p.finish(ErrLeft) }) // even before the channel opened
	p.pc.OnDataChannel(func(*webrtc.DataChannel) {
		p.finish(fmt.Errorf("%w: it opens data channels of its own", ErrLost))
	})
	return nil
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
		p.count.controlsDropped.Add(1)
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
		p.count.controlsDropped.Add(1)
		return
	}
	p.count.controls.Add(1)
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
