package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// bench is one run of the command.
type bench struct {
	out, progress io.Writer
	hosts         *hosts // nil = none could be made
	only          *regexp.Regexp
	profiles      string // folder, "" = none
	reps          int
	packets       int // of the baseline in one repetition, at least
	seconds       int // of one repetition in real time
	began         time.Time
}

// place is where senders and receivers run, and what lies between them.
type place struct {
	name             string
	sender, receiver []string // words before their commands
	senderIP, sinkIP string
	segments         int  // that may pass as one, where a device is between; 0 = none is
	whole            bool // the socket that nobody reads takes super-packets as they are
}

// loopbacks are this host, or one of our own without any packet filter: once with
// a socket that takes super-packets whole, as a network card with segmentation of
// UDP does, and once with one that makes the kernel cut them up before it.
func (b *bench) loopbacks() []place {
	p := place{name: "loopback", senderIP: "127.0.0.1", sinkIP: "127.0.0.1", whole: true}
	if b.hosts != nil {
		p.sender, p.receiver = inside(b.hosts.sender), inside(b.hosts.sender)
	}
	cut := p
	cut.name, cut.whole = "loopback, cut up for the receiver", false
	return []place{p, cut}
}

// pairs are the two kinds of wire between our hosts, if there are any.
func (b *bench) pairs() []place {
	if b.hosts == nil {
		return nil
	}
	p := place{
		name: "veth", sender: inside(b.hosts.sender), receiver: inside(b.hosts.receiver),
		senderIP: senderIP, sinkIP: receiverIP, segments: 64, whole: true,
	}
	cut := p
	cut.name, cut.segments, cut.whole = "veth, software segmentation", 1, false
	return []place{p, cut}
}

// setUp makes the place what it is to be.
func (b *bench) setUp(ctx context.Context, p place) error {
	if p.segments == 0 {
		return nil
	}
	return b.hosts.segment(ctx, p.segments)
}

// wanted says whether the case is among those asked for.
func (b *bench) wanted(name string) bool { return b.only.MatchString(name) }

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// profile is the file for a side's CPU profile in a case.
func (b *bench) profile(side, name string) string {
	if b.profiles == "" {
		return ""
	}
	return filepath.Join(b.profiles, strings.NewReplacer(" ", "-", ",", "", "/", "").Replace(side+"-"+name)+".pprof")
}

// run is the whole of it: cases, then what was skipped.
func (b *bench) run(ctx context.Context, m matrix) error {
	var err error
	if b.hosts, err = newHosts(ctx); err != nil {
		b.say("SKIPPED: all cases with a veth pair, which need root and the command ip: %v", err)
	} else {
		defer b.hosts.Close()
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return fmt.Errorf("make folder for profiles: %w", err)
		}
	}
	for _, viewers := range m.viewers {
		if err := b.unread(ctx, b.loopbacks(), viewers, m.kbits); err != nil {
			return err
		}
		if err := b.unread(ctx, b.pairs(), viewers, m.kbits); err != nil {
			return err
		}
	}
	if err := b.live(ctx, m); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// group is one set of processes: senders, and the receivers of them all.
type group struct {
	receivers *child
	senders   []*child
}

// newGroup starts a sender per role in p, and connects viewers to each of them
// that takes any.
func newGroup(ctx context.Context, p place, roles []role, viewers int) (g *group, err error) {
	g = &group{}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	if g.receivers, err = start(ctx, p.receiver, role{Name: "receivers", IP: p.sinkIP}); err != nil {
		return g, err
	}
	for _, r := range roles {
		r.IP = p.senderIP
		s, err := start(ctx, p.sender, r)
		if err != nil {
			return g, err
		}
		g.senders = append(g.senders, s)
		if r.Name == "floor" {
			continue
		}
		for range viewers {
			if err := g.connect(s); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

// connect makes one viewer of s.
func (g *group) connect(s *child) error {
	offer, err := g.receivers.call(request{Do: "offer"})
	if err != nil {
		return err
	}
	answer, err := s.call(request{Do: "connect", SDP: offer.SDP})
	if err != nil {
		return err
	}
	_, err = g.receivers.call(request{Do: "accept", SDP: answer.SDP})
	return err
}

// open waits until the viewers are connected. With unread set RTP goes to a new
// socket that nobody reads, and that takes super-packets whole or not.
func (g *group) open(unread, whole bool) error {
	var sink response
	var err error
	if unread {
		if sink, err = g.receivers.call(request{Do: "sink", Whole: whole}); err != nil {
			return err
		}
	}
	var errs []error
	for _, s := range g.senders {
		_, err := s.call(request{Do: "open", Sink: sink.Addr})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close ends all of them.
func (g *group) Close() {
	for _, s := range g.senders {
		s.Close()
	}
	if g.receivers != nil {
		g.receivers.Close()
	}
}
