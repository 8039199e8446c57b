package check

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	packetSize = 1200             // bytes of payload, as a worker's packets
	pace       = time.Millisecond // between looks at what is due
	maxLoss    = 0.05             // more than this and the leg has failed
	binding    = 0x0001           // type of a Binding request
	cookie     = 0x2112a442
	padding    = 0xc002 // a comprehension-optional attribute that means nothing
)

// flow is a stream of requests through the relay. The payload of each is a STUN
// Binding request: a worker answers it, and an echo of it is as good.
type flow struct {
	frame  []byte // ChannelData
	tag    uint32 // tells this check's packets from others
	start  time.Time
	sent   atomic.Int64
	sentAt []atomic.Int64 // nanoseconds after start, 0 = not yet
	trips  []time.Duration
	seen   []bool
}

// newFlow makes room for as many packets as may be sent.
func newFlow(most int) *flow {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	f := &flow{
		frame: make([]byte, channelHeader+packetSize), tag: binary.BigEndian.Uint32(random[:]),
		sentAt: make([]atomic.Int64, most), seen: make([]bool, most),
	}
	binary.BigEndian.PutUint16(f.frame, channel)
	binary.BigEndian.PutUint16(f.frame[2:], packetSize)
	request := f.frame[channelHeader:]
	binary.BigEndian.PutUint16(request, binding)
	binary.BigEndian.PutUint16(request[2:], packetSize-stunHeader)
	binary.BigEndian.PutUint32(request[4:], cookie)
	binary.BigEndian.PutUint32(request[8:], f.tag)
	binary.BigEndian.PutUint16(request[stunHeader:], padding)
	binary.BigEndian.PutUint16(request[stunHeader+2:], packetSize-stunHeader-4)
	return f
}

// next is the frame with the given number. It is overwritten by the next one.
func (f *flow) next(number int) []byte {
	binary.BigEndian.PutUint64(f.frame[channelHeader+12:], uint64(number))
	return f.frame
}

// number is that of the packet which a frame answers; ok is false if it answers
// none of this flow.
func (f *flow) number(frame []byte) (number int, ok bool) {
	if len(frame) < channelHeader+stunHeader || binary.BigEndian.Uint16(frame) != channel {
		return 0, false
	}
	p := frame[channelHeader:]
	n := binary.BigEndian.Uint64(p[12:])
	if binary.BigEndian.Uint32(p[4:]) != cookie || binary.BigEndian.Uint32(p[8:]) != f.tag || n >= uint64(len(f.seen)) {
		return 0, false
	}
	return int(n), true
}

// data relays packets to the peer and counts what is answered.
func (r *run) data(ctx context.Context) (string, error) {
	if r.peer != nil {
		if err := r.peer.echo(r.relay); err != nil {
			return "", fmt.Errorf("send from this machine to the relayed address %s: %w", r.relay, err)
		}
	}
	perSecond := r.cfg.Bitrate / (8 * packetSize)
	f := newFlow(int(r.cfg.Duration.Seconds()*float64(perSecond)) + 1)
	f.start = time.Now()
	sending := make(chan error, 1)
	go func() { sending <- f.send(ctx, r.link, perSecond) }()
	receiveErr := f.receive(r.link, f.start.Add(r.cfg.Duration+r.cfg.Timeout))
	if err := <-sending; err != nil {
		return "", fault{cause: fmt.Sprintf("the connection broke: %v", err), remedy: "look at the server's log"}
	}
	if receiveErr != nil {
		return "", fault{cause: fmt.Sprintf("the connection broke: %v", receiveErr), remedy: "look at the server's log"}
	}
	d := f.measured(r.cfg.Duration)
	r.report.Data = &d
	return words(d), r.judge(d)
}

// send sends packets as they are due.
func (f *flow) send(ctx context.Context, l *link, perSecond int) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for sent := 0; sent < len(f.sentAt); {
		since := time.Since(f.start)
		for due := 1 + int(since.Seconds()*float64(perSecond)); sent < min(due, len(f.sentAt)); sent++ {
			f.sentAt[sent].Store(int64(time.Since(f.start)) | 1)
			if err := l.send(f.next(sent)); err != nil {
				return err
			}
			f.sent.Add(1)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// receive takes answers until all are there or the time is over.
func (f *flow) receive(l *link, until time.Time) error {
	if err := l.SetReadDeadline(until); err != nil {
		return err
	}
	buffer := make([]byte, maxFrame)
	for len(f.trips) < len(f.sentAt) {
		n, err := l.receive(buffer)
		now := time.Since(f.start)
		if err != nil {
			if isTimeout(err) {
				return nil
			}
			return err
		}
		if number, ok := f.number(buffer[:n]); ok && !f.seen[number] {
			f.seen[number] = true
			f.trips = append(f.trips, now-time.Duration(f.sentAt[number].Load()))
		}
	}
	return nil
}

// measured is what came of it.
func (f *flow) measured(over time.Duration) Data {
	d := Data{Sent: int(f.sent.Load()), Answered: len(f.trips)}
	if len(f.trips) == 0 {
		return d
	}
	slices.Sort(f.trips)
	at := func(percent int) time.Duration { return f.trips[(len(f.trips)-1)*percent/100] }
	d.Median, d.P95, d.P99, d.Longest = at(50), at(95), at(99), at(100)
	d.Throughput = float64(d.Answered) * 8 * packetSize / over.Seconds()
	return d
}

// words are the figures in a line.
func words(d Data) string {
	return fmt.Sprintf("round trip %s median, %s p95, %s p99, %s longest; %d of %d lost (%.2f %%); %.2f Mbit/s",
		tidy(d.Median), tidy(d.P95), tidy(d.P99), tidy(d.Longest), d.Sent-d.Answered, d.Sent, 100*d.Loss(), d.Throughput/1e6)
}

func tidy(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// judge says whether the figures are good enough, and where the packets are
// lost if they are not.
func (r *run) judge(d Data) error {
	switch {
	case d.Loss() <= maxLoss:
		return nil
	case d.Answered > 0:
		return fault{
			cause:  fmt.Sprintf("%.1f %% of the packets were not answered", 100*d.Loss()),
			remedy: "try a lower --bitrate; a bound (turn.maxBandwidth), a full processor or a bad network loses packets",
		}
	case r.peer == nil:
		return fault{
			cause:  fmt.Sprintf("the worker %s does not answer the gate", r.cfg.Worker),
			remedy: "let UDP through between gate and worker, both ways; is it a media port of a worker of this release?",
		}
	case r.peer.got.Load() == 0:
		return fault{
			cause:  fmt.Sprintf("what the server relays does not reach this machine at %s: a NAT or firewall is in between", r.peer.seen),
			remedy: "give --worker IP:PORT; clients need no such way",
		}
	}
	return fault{
		cause:  fmt.Sprintf("what a peer sends to the relayed address %s does not come back", r.relay),
		remedy: "compare the address with turn.relayAddress, and let UDP through to it",
	}
}
