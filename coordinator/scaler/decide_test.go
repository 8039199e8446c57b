package scaler

import (
	"testing"
	"testing/synctest"
	"time"
)

// Pods of a Deployment in a few words.
func starting() seen { return seen{} }

func free(places int) seen {
	return seen{ready: true, worker: &Pod{State: "ready", Places: places, Free: places}}
}

func unknown(ago int) seen {
	return seen{ready: true, unknown: time.Now().Add(-time.Duration(ago) * time.Second)}
}

func draining(games int) seen {
	return seen{ready: true, kept: games > 0, worker: &Pod{State: stateDraining, Places: 4, Rooms: games, Sessions: games}}
}

func playing(places, games int) seen {
	return seen{ready: true, kept: true, worker: &Pod{State: "ready", Places: places, Free: places - games, Rooms: games, Sessions: games}}
}

func unmarked(p seen) seen {
	p.kept = false
	return p
}

func TestDecideAtOnce(t *testing.T) {
	s := Settings{FreeSeats: 3, MinReplicas: 2, MaxReplicas: 6, ScaleInDelay: time.Minute}
	tests := []struct {
		name     string
		replicas int
		pods     []seen
		want     verdict
	}{
		{"nothing is known", 3, nil, verdict{3, 3, 0}},
		{"nothing is known, fewer than there must be", 1, nil, verdict{2, 2, 0}},
		{"switched off", 0, nil, verdict{0, 2, 0}},
		{"all start", 2, []seen{starting(), starting()}, verdict{2, 2, 0}},
		{"enough", 2, []seen{free(2), free(2)}, verdict{2, 2, 4}},
		{"a game more than the free ones allow", 2, []seen{free(2), playing(2, 2)}, verdict{3, 3, 2}},
		{"a place that is held is not free", 2, []seen{free(2), {ready: true, worker: &Pod{State: "ready", Places: 2}}}, verdict{3, 3, 2}},
		{"those that start are counted", 3, []seen{free(2), playing(2, 2), starting()}, verdict{3, 3, 2}},
		{"many at once", 2, []seen{playing(2, 2), playing(2, 2)}, verdict{4, 4, 0}},
		{"never more than may be", 6, []seen{playing(1, 1), playing(1, 1), playing(1, 1), playing(1, 1), playing(1, 1), playing(1, 1)}, verdict{6, 6, 0}},
		{"one that drains is replaced", 2, []seen{free(2), draining(1)}, verdict{3, 3, 2}},
		{"a new one may still join", 2, []seen{free(2), unknown(10)}, verdict{2, 2, 2}},
		{"one that never joins is replaced", 2, []seen{free(2), unknown(40)}, verdict{3, 3, 2}},
		{"an overloaded one has its places still", 2, []seen{free(2), {ready: true, worker: &Pod{State: "overloaded", Places: 2, Free: 2}}}, verdict{2, 2, 4}},
		{"places differ", 2, []seen{free(1), free(3)}, verdict{2, 2, 4}},
		{"one boasts of free places", 3, []seen{playing(2, 2), playing(2, 2), free(4000)}, verdict{4, 4, 4000}},
		{"one boasts of games", 3, []seen{free(2), free(2), playing(4000, 4000)}, verdict{3, 3, 4}},
		{"a worker without places says nothing", 2, []seen{free(0), unknown(0)}, verdict{2, 2, 0}},
		{"too many, but since now", 5, []seen{free(2), free(2), free(2), free(2), free(2)}, verdict{5, 2, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := decide(time.Now(), s, memory{}, view{tt.replicas, tt.pods}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// step is what there is for a while, and how many replicas there are to be then.
type step struct {
	lasts time.Duration
	pods  []seen
	want  int
}

func TestDecideInTime(t *testing.T) {
	idle := free(2)
	busy := playing(2, 2)
	tests := []struct {
		name  string
		from  int
		steps []step
	}{
		{"in after the delay", 4, []step{{59 * time.Second, []seen{idle, idle, idle, idle}, 4}, {2 * time.Second, []seen{idle, idle, idle, idle}, 2}}},
		{"a rush starts the delay again", 4, []step{
			{50 * time.Second, []seen{idle, idle, idle, idle}, 4},
			{time.Second, []seen{busy, busy, idle, idle}, 4},
			{50 * time.Second, []seen{idle, idle, idle, idle}, 4},
			{11 * time.Second, []seen{idle, idle, idle, idle}, 2},
		}},
		{"as many as were needed meanwhile", 5, []step{
			{30 * time.Second, []seen{idle, idle, idle, idle, idle}, 5},
			{10 * time.Second, []seen{busy, idle, idle, idle, idle}, 5},
			{21 * time.Second, []seen{idle, idle, idle, idle, idle}, 3},
			{61 * time.Second, []seen{idle, idle, idle}, 2},
		}},
		{"no pod with a game", 4, []step{
			{5 * time.Minute, []seen{playing(9, 1), playing(9, 1), playing(9, 1), playing(9, 1)}, 4},
			{time.Second, []seen{playing(9, 1), playing(9, 1), playing(9, 1), free(9)}, 3},
		}},
		{"not while one may join", 4, []step{
			{25 * time.Second, []seen{idle, idle, idle, unknown(0)}, 4},
			{50 * time.Second, []seen{idle, idle, idle, idle}, 2},
		}},
		{"not before games are marked", 4, []step{
			{5 * time.Minute, []seen{idle, idle, idle, unmarked(playing(2, 1))}, 4},
			{time.Second, []seen{idle, idle, idle, playing(2, 1)}, 2},
		}},
		{"what starts may go", 4, []step{{61 * time.Second, []seen{idle, idle, starting(), starting()}, 2}}},
		{"what drains may go, once it is empty", 3, []step{
			{61 * time.Second, []seen{idle, idle, draining(1)}, 3},
			{61 * time.Second, []seen{idle, idle, draining(0)}, 3},
		}},
		{"out at once and in again", 2, []step{
			{time.Second, []seen{busy, busy}, 4},
			{30 * time.Second, []seen{busy, busy, starting(), starting()}, 4},
			{61 * time.Second, []seen{idle, idle, idle, idle}, 2},
		}},
		{"what is known of places stays while nobody is there", 2, []step{
			{time.Second, []seen{idle, idle}, 2},
			{10 * time.Second, []seen{starting(), starting()}, 2},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := Settings{FreeSeats: 3, MinReplicas: 2, MaxReplicas: 6, ScaleInDelay: time.Minute}
				var m memory
				replicas := tt.from
				for i, step := range tt.steps {
					for range step.lasts / period {
						var v verdict
						v, m = decide(time.Now(), s, m, view{replicas, step.pods})
						replicas = v.replicas
						time.Sleep(period)
					}
					if replicas != step.want {
						t.Fatalf("step %d: %d replicas, want %d (%+v)", i, replicas, step.want, m)
					}
				}
			})
		})
	}
}

// Whatever is announced, the bounds hold and no pod with a game must go.
func FuzzDecide(f *testing.F) {
	f.Add(uint8(5), uint8(3), []byte{1, 2, 3, 4})
	f.Add(uint8(0), uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, replicas, seats uint8, pods []byte) {
		s := Settings{FreeSeats: int(seats), MinReplicas: 1, MaxReplicas: 20}
		v, busy := view{replicas: int(replicas)}, 0
		for _, b := range pods {
			p := seen{ready: b&1 > 0, kept: b&2 > 0}
			if b&4 > 0 {
				p.worker = &Pod{State: "ready", Places: int(b>>3) & 7, Rooms: int(b>>6) & 1}
				p.worker.Free = p.worker.Places - min(p.worker.Places, p.worker.Rooms)
			}
			if p.worker != nil && p.worker.busy() {
				busy++
			}
			v.pods = append(v.pods, p)
		}
		v.replicas = max(v.replicas, len(pods))
		got, _ := decide(time.Now(), s, memory{}, v)
		if got.replicas > max(v.replicas, s.MaxReplicas) || got.replicas < min(v.replicas, busy) || v.replicas > 0 && got.replicas < 1 {
			t.Errorf("%+v of %+v", got, v)
		}
	})
}
