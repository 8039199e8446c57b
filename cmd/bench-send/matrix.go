package main

import (
	"context"
	"fmt"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

// matrix is which cases there are.
type matrix struct {
	viewers []int
	kbits   []int // bit rates of one viewer
	live    []live
}

// cheaper is how many times more packets ours and the floor send in one
// repetition than the baseline, since each costs so much less.
const cheaper = 4

// informed is the bit rate at which sendmmsg without segmentation is measured, too.
const informed = 20000

// unread measures at full speed towards a socket that nobody reads, at every bit
// rate in every place. The places differ in what lies between the hosts only,
// so that the connections are made once.
func (b *bench) unread(ctx context.Context, places []place, viewers int, kbits []int) error {
	var names [][]string
	any := false
	for _, p := range places {
		var row []string
		for _, k := range kbits {
			name := fmt.Sprintf("%s, %s, %d Mbit/s", p.name, plural(viewers), k/1000)
			row = append(row, name)
			any = any || b.wanted(name)
		}
		names = append(names, row)
	}
	if !any {
		return nil
	}
	g, err := newGroup(ctx, places[0], []role{{Name: "baseline"}, {Name: "ours"}, {Name: "ours", NoGSO: true}, {Name: "floor"}}, viewers)
	if err != nil {
		return err
	}
	defer g.Close()
	for i, p := range places {
		if err := b.setUp(ctx, p); err != nil {
			return err
		}
		if err := g.open(true, p.whole); err != nil {
			return err
		}
		for j, k := range kbits {
			if !b.wanted(names[i][j]) {
				continue
			}
			if err := b.unreadCase(g, names[i][j], viewers, k); err != nil {
				return fmt.Errorf("%s: %w", names[i][j], err)
			}
		}
	}
	return nil
}

func plural(viewers int) string {
	if viewers == 1 {
		return "1 viewer"
	}
	return fmt.Sprintf("%d viewers", viewers)
}

// unreadCase runs the sides of one case in turn, again and again.
func (b *bench) unreadCase(g *group, name string, viewers, kbits int) error {
	b.say("%s", name)
	perFrame := viewers * (sizeAt(kbits)/1180 + 1)
	few := max(1, (b.packets+perFrame-1)/perFrame)
	many := few * cheaper
	sides := map[string]*side{}
	for rep := range b.reps {
		for _, s := range []struct {
			name   string
			child  *child
			frames int
		}{
			{"baseline", g.senders[0], few},
			{"ours", g.senders[1], many},
			{"floor", g.senders[3], many},
			{"at once", g.senders[3], many},
			{"sendmmsg", g.senders[2], few},
		} {
			if s.name == "sendmmsg" && kbits != informed {
				continue
			}
			if s.child.role.Name == "floor" {
				if err := shape(s.child, sides["ours"].runs[0], viewers, s.name == "at once"); err != nil {
					return err
				}
			}
			req := request{Do: "run", KBits: kbits, Frames: s.frames}
			if rep == 0 {
				req.Profile = b.profile(s.name, name)
			}
			res, err := s.child.call(req)
			if err != nil {
				return err
			}
			if sides[s.name] == nil {
				sides[s.name] = &side{}
			}
			sides[s.name].runs = append(sides[s.name].runs, res.Figures)
		}
	}
	return b.report(name, sides)
}

// shape makes the floor send what ours sent: as many packets of that size, in
// runs of that length, or each picture at once.
func shape(floor *child, ours figures, viewers int, atOnce bool) error {
	pictures := float64(ours.Last-ours.First+1) * float64(viewers)
	packets := float64(ours.Packets)
	req := request{
		Do: "shape", Viewers: viewers, Packets: int(packets/pictures + 0.5),
		Size: int(float64(ours.Bytes)/packets + 0.5), Burst: int(packets/float64(ours.Messages) + 0.5),
	}
	if atOnce {
		req.Burst = req.Packets
	}
	_, err := floor.call(req)
	return err
}

// side is what one way of sending cost, repetition by repetition.
type side struct{ runs []figures }

// median of a figure over the repetitions.
func (s *side) median(of func(figures) float64) float64 {
	var values []float64
	for _, f := range s.runs {
		values = append(values, of(f))
	}
	return benchline.Median(values)
}

// times is how many times fewer CPU seconds s takes per packet than o: the
// median over pairs of runs that followed one another.
func (s *side) times(o *side) float64 {
	var values []float64
	for i := range s.runs {
		values = append(values, o.runs[i].cpu()/s.runs[i].cpu())
	}
	return benchline.Median(values)
}
