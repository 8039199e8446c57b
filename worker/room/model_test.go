package room

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer"
)

// chaos does anything that pages, hosts and networks may do, in any order.
type chaos struct {
	*stage
	rnd      *rand.Rand
	here     []guest
	sessions []string // that ever were
	tokens   []string // that were ever made
	removed  map[string]bool
}

// TestModel: whatever happens, no seat has two owners, there is one host if
// anybody is there, and who was removed is out.
func TestModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chaos{
					stage: newStage(t, 2, 0), rnd: rand.New(rand.NewPCG(seed, 1)), sessions: []string{"none"}, removed: map[string]bool{},
				}
				for range 300 {
					c.step()
					synctest.Wait()
					c.check()
				}
			})
		})
	}
}

func (c *chaos) step() {
	switch n := c.rnd.IntN(12); {
	case n < 4:
		c.come()
	case len(c.here) == 0:
		time.Sleep(time.Duration(c.rnd.IntN(4)) * time.Second) // shorter than the grace
	case n < 6:
		c.depart(c.rnd.IntN(len(c.here)))
	case n == 6:
		time.Sleep(time.Duration(c.rnd.IntN(8)) * time.Second)
	case n == 7:
		i := signal.Invite{Room: roomID, Watch: c.rnd.IntN(3) == 0, Single: c.rnd.IntN(2) == 0, Seconds: c.rnd.IntN(60)}
		if !i.Watch {
			i.Player = c.rnd.IntN(3)
		}
		if made, err := c.Invite(i); err == nil {
			c.tokens = append(c.tokens, made.Token)
		}
	default:
		c.command(c.here[c.rnd.IntN(len(c.here))])
	}
}

func (c *chaos) come() {
	e := Entry{Session: signal.NewID(), Player: c.rnd.IntN(3)}
	if c.rnd.IntN(2) == 0 {
		e.Replaces = c.sessions[c.rnd.IntN(len(c.sessions))]
	}
	if len(c.tokens) > 0 && c.rnd.IntN(2) == 0 {
		e.Invite = c.tokens[c.rnd.IntN(len(c.tokens))]
	}
	m, err := c.Reserve(c.t.Context(), e)
	if c.removed[e.Replaces] && err == nil {
		c.t.Errorf("%s was removed, and comes back", e.Replaces)
	}
	if err != nil {
		return
	}
	c.sessions = append(c.sessions, e.Session)
	if c.rnd.IntN(6) == 0 {
		m.Release() // it was not connected
		return
	}
	c.here = append(c.here, c.seat(m, media.ProfileMain))
}

// depart makes one go in some way.
func (c *chaos) depart(i int) {
	g := c.here[i]
	switch c.rnd.IntN(4) {
	case 0:
		g.Release()
	case 1:
		g.screen.quit <- peer.ErrLeft
	case 2:
		g.screen.quit <- peer.ErrLost
	case 3:
		g.Dismiss(Leave{Reason: "an admin"})
	}
}

func (c *chaos) command(g guest) {
	other := c.here[c.rnd.IntN(len(c.here))]
	var id string
	var session string
	_ = c.do(func() {
		if p := other.pass; p != nil {
			id, session = p.id(), p.session
		}
	})
	all := []string{
		`{"type":"host","member":"` + id + `"}`, `{"type":"mute","member":"` + id + `","on":true}`,
		`{"type":"mute","member":"` + id + `","on":false}`, `{"type":"door","closed":true}`, `{"type":"door","closed":false}`,
		`{"type":"seat","player":0}`, `{"type":"seat","player":1}`, `{"type":"seat","player":2}`,
		`{"type":"remove","member":"` + id + `"}`, "lost", "ready",
	}
	switch message := all[c.rnd.IntN(len(all))]; message {
	case "lost":
		g.Events().Lost()
	case "ready":
		g.Events().Ready()
	case all[8]:
		g.Events().Control([]byte(message))
		synctest.Wait()
		select {
		case l := <-other.left:
			c.removed[session] = c.removed[session] || l.Code == signal.CodeRemoved
			other.left <- l
		default:
		}
	default:
		g.Events().Control([]byte(message))
	}
}

func (c *chaos) check() {
	c.here = slices.DeleteFunc(c.here, func(g guest) bool { return len(g.left) > 0 })
	_ = c.do(func() {
		hosts, players, present := 0, 0, 0
		for _, m := range c.members {
			s := m.Status()
			if m.leaving {
				if s.Player != 0 || s.Host {
					c.t.Errorf("who leaves is %+v", s)
				}
				continue
			}
			present++
			if s.Host != (c.host == m) {
				c.t.Errorf("%s: host %v", m.pass.id(), s.Host)
			}
			if s.Host {
				hosts++
			}
			if s.Player > 0 {
				players++
				if c.seats[s.Player-1] != m || !m.pass.allows(s.Player) {
					c.t.Errorf("%s sits where it may not: %d", m.pass.id(), s.Player)
				}
			}
		}
		taken := 0
		for i, m := range c.seats {
			if m != nil {
				taken++
				if m.Player() != i+1 {
					c.t.Errorf("seat %d is taken by player %d", i+1, m.Player())
				}
			}
		}
		p, v := c.Count()
		if taken != players || p != players || p+v != present || present > c.cfg.MaxMembers || hosts > 1 || present > 0 && hosts == 0 {
			c.t.Errorf("%d seats, %d players, %d present, counted %d+%d, %d hosts", taken, players, present, p, v, hosts)
		}
		if len(c.members) != len(c.here) {
			c.t.Errorf("%d members, %d browsers", len(c.members), len(c.here))
		}
	})
}
