package coordinator

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func quiet(c *Config) { c.Logger = nil }

// count is how many of the players play, and the positions of those who wait.
func count(players []*player) (playing int, positions []int) {
	for _, p := range players {
		at, plays := p.state()
		if plays {
			playing++
		} else if at > 0 {
			positions = append(positions, at)
		}
	}
	slices.Sort(positions)
	return playing, positions
}

// inLine says whether so many play and all others wait at the positions 1 to n.
func inLine(players []*player, playing int) bool {
	got, positions := count(players)
	for i, at := range positions {
		if at != i+1 {
			return false
		}
	}
	return got == playing && len(positions) == len(players)-playing
}

// byPosition are those who wait, in order.
func byPosition(players []*player) []*player {
	var line []*player
	for _, p := range players {
		if at, _ := p.state(); at > 0 {
			line = append(line, p)
		}
	}
	slices.SortFunc(line, func(a, b *player) int { return a.position - b.position })
	return line
}

// eventually is until for what a thousand pages do on a busy machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(12 * patient); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %s", what, 12*patient)
		}
	}
}

func inOrderOfArrival(t *testing.T, line []*player) {
	t.Helper()
	if !slices.IsSortedFunc(line, func(a, b *player) int { return int(a.since - b.since) }) {
		t.Error("the line is not in the order of arrival")
	}
}

func sane(t *testing.T, halls []*hall, want int) {
	t.Helper()
	all := 0
	for _, h := range halls {
		n, doubled := h.games()
		if all += n; doubled > 0 {
			t.Errorf("%d places were given twice", doubled)
		}
	}
	if all != want {
		t.Errorf("%d games run, not %d", all, want)
	}
}

// A thousand starts at two coordinators over two hundred places.
func TestThousandStarts(t *testing.T) {
	one, two := start(t, quiet), start(t, quiet)
	halls := []*hall{newHall(t, 67, one, two), newHall(t, 67, one, two), newHall(t, 66, one, two)}
	players := make([]*player, 1000)
	for i := range players {
		players[i] = []*door{one, two}[i%2].player()
	}
	var all sync.WaitGroup
	for _, p := range players {
		all.Go(func() { p.say(signal.TypeStart, "s", "", signal.Start{Game: "pong", SDP: "v=0"}) })
	}
	all.Wait()
	eventually(t, "one line", func() bool { return inLine(players, 200) })
	sane(t, halls, 200)
	line := byPosition(players)
	inOrderOfArrival(t, line)

	// As games end the line moves up, and nobody overtakes.
	for range 2 {
		for i, n := range []int{4, 5, 1} {
			halls[i].end(n)
		}
		eventually(t, "the next ten", func() bool { return inLine(players, len(players)-len(line)+10) })
		for i, p := range line {
			if _, playing := p.state(); playing != (i < 10) {
				t.Fatalf("of the line the %d-th plays: %v", i+1, playing)
			}
		}
		line = line[10:]
	}
	sane(t, halls, 200)

	// A coordinator is cut: its pages go on at the other where they were.
	one.stop()
	var moved, stayed []*player
	for i, p := range players {
		if at, _ := p.state(); at > 0 && i%2 == 0 {
			again := two.player()
			again.say(signal.TypeResume, "r", "", signal.Resume{Token: p.token})
			again.say(signal.TypeStart, "s", "", signal.Start{Game: "pong"})
			moved = append(moved, again)
		} else if at > 0 {
			stayed = append(stayed, p)
		}
	}
	players = append(stayed, moved...)
	eventually(t, "one line again", func() bool { return inLine(players, 0) })
	line = byPosition(players)
	inOrderOfArrival(t, line)
	halls[0].end(7)
	eventually(t, "the next seven", func() bool { return inLine(players, 7) })
	for i, p := range line[:12] {
		if _, playing := p.state(); playing != (i < 7) {
			t.Errorf("of the line the %d-th plays: %v", i+1, playing)
		}
	}
}

// A coordinator that stops says that nobody waits there any more: its pages come
// to the others, which would count them twice.
func TestLineOfWhoStops(t *testing.T) {
	one, two := start(t, nil), start(t, nil)
	newHall(t, 0, one, two)
	known := func() bool {
		two.board.mu.Lock()
		defer two.board.mu.Unlock()
		return len(two.board.queues[one.id].since) > 0
	}
	one.player().say(signal.TypeStart, "s", "", signal.Start{Game: "pong", SDP: "v=0"})
	until(t, "the line to be known elsewhere", known)
	one.stop()
	until(t, "the end of the line to be known", func() bool { return !known() })
}
