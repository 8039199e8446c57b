package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
)

// live is a case in real time, whose viewers look at every picture.
type live struct {
	viewers, kbits int
	loss           float64 // share of the packets that viewers do not get
	oneCore        bool    // the sender has one core, viewers the others
}

func (l live) name() string {
	name := fmt.Sprintf("real time, %s, %d Mbit/s", plural(l.viewers), l.kbits/1000)
	if l.loss > 0 {
		name += fmt.Sprintf(", %g %% loss", 100*l.loss)
	}
	if l.oneCore {
		name += ", one core"
	}
	return name
}

// live runs the cases in real time, between our hosts if there are any.
func (b *bench) live(ctx context.Context, m matrix) error {
	p := b.loopbacks()[0]
	if pairs := b.pairs(); len(pairs) > 0 {
		p = pairs[0]
		if err := b.setUp(ctx, p); err != nil {
			return err
		}
	}
	for _, l := range m.live {
		if !b.wanted(l.name()) {
			continue
		}
		here := p
		if l.oneCore {
			if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
				b.say("SKIPPED: %s: it needs the command taskset and two cores", l.name())
				continue
			}
			here.sender = append([]string{"taskset", "-c", "0"}, p.sender...)
			here.receiver = append([]string{"taskset", "-c", fmt.Sprintf("1-%d", runtime.NumCPU()-1)}, p.receiver...)
		}
		if err := b.liveCase(ctx, here, l); err != nil {
			return fmt.Errorf("%s: %w", l.name(), err)
		}
	}
	return nil
}

// liveCase lets the baseline and ours send in turn, each with receivers of its own.
func (b *bench) liveCase(ctx context.Context, p place, l live) error {
	b.say("%s", l.name())
	names := []string{"baseline", "ours"}
	sides, found := map[string]*side{}, map[string]*seen{}
	var groups []*group
	for _, name := range names {
		g, err := newGroup(ctx, p, []role{{Name: name, RealTime: true}}, l.viewers)
		if err != nil {
			return err
		}
		defer g.Close()
		if err := g.open(false, false); err != nil {
			return err
		}
		groups = append(groups, g)
		sides[name], found[name] = &side{}, &seen{}
	}
	for range max(1, b.reps/2) {
		for i, g := range groups {
			run, saw, err := b.liveRun(g, l)
			if err != nil {
				return err
			}
			sides[names[i]].runs = append(sides[names[i]].runs, run)
			found[names[i]].add(run, saw)
			if saw.FirstBad != "" {
				b.say("  %s: %s", names[i], saw.FirstBad)
			}
		}
	}
	b.say("  pion's viewers: %+v", *found["baseline"])
	b.say("  our viewers:    %+v", *found["ours"])
	if err := b.print(l.name(), sides["ours"], sides["baseline"], baselineName, found); err != nil {
		return err
	}
	if bad := found["ours"].Bad; bad > 0 {
		return fmt.Errorf("%d of our pictures arrived with wrong bytes", bad)
	}
	return nil
}

// liveRun sends for some seconds and asks the viewers what they saw.
func (b *bench) liveRun(g *group, l live) (figures, verdict, error) {
	if _, err := g.receivers.call(request{Do: "expect", KBits: l.kbits, Loss: l.loss}); err != nil {
		return figures{}, verdict{}, err
	}
	res, err := g.senders[0].call(request{
		Do: "run", KBits: l.kbits, Frames: b.seconds * fps, Profile: b.profile(g.senders[0].role.Name, l.name()),
	})
	if err != nil {
		return figures{}, verdict{}, err
	}
	judged, err := g.receivers.call(request{Do: "judge", First: res.Figures.First, Last: res.Figures.Last})
	return res.Figures, judged.Seen, err
}

// add counts another run.
func (s *seen) add(f figures, v verdict) {
	s.Frames += int(f.Last - f.First + 1)
	s.Good += v.Good
	s.Bad += v.Bad
	s.Missing += v.Missing
	s.Lost += v.Lost
	s.Repaired += v.Repaired
}
