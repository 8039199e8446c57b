package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// bound is how long a test waits for what must come.
const bound = time.Minute

// candidate is a process that stands for election.
type candidate struct {
	cancel context.CancelFunc
	leads  chan struct{} // one for each time that it began to lead
	ended  chan error    // what Lead returned
}

// stand has a candidate lead until it is told to end; together counts who leads
// just now.
func stand(t *testing.T, c *cluster.Cluster, together *atomic.Int32) *candidate {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := &candidate{cancel, make(chan struct{}, 1000), make(chan error, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		out.ended <- c.Lead(ctx, "cloudretro-test", func(ctx context.Context) error {
			if n := together.Add(1); n != 1 {
				t.Errorf("%d lead at once", n)
			}
			out.leads <- struct{}{}
			<-ctx.Done()
			together.Add(-1)
			return nil
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return out
}

func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(bound):
		t.Fatalf("%s: not within %v", what, bound)
	}
	return v
}

func TestLeadPassesOn(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	var together atomic.Int32
	one := stand(t, c, &together)
	await(t, "the first leads", one.leads)
	two, three := stand(t, c, &together), stand(t, c, &together)
	select {
	case <-two.leads:
	case <-three.leads:
	case <-time.After(3 * time.Second): // more than one attempt
		one.cancel()
	}
	if err := await(t, "the first ends", one.ended); err != nil {
		t.Errorf("the first ended with %v", err)
	}
	select {
	case <-two.leads:
		two.cancel()
		await(t, "the third leads", three.leads)
	case <-three.leads:
		three.cancel()
		await(t, "the second leads", two.leads)
	case <-time.After(bound):
		t.Fatal("nobody follows")
	}
	leases := clustertest.Clientset(c).CoordinationV1().Leases(c.Namespace)
	lease, err := leases.Get(t.Context(), "cloudretro-test", metav1.GetOptions{})
	if err != nil || !strings.HasPrefix(*lease.Spec.HolderIdentity, c.Identity+"_") || *lease.Spec.LeaseDurationSeconds != 15 || *lease.Spec.LeaseTransitions != 2 {
		t.Errorf("lease %+v, %v", lease, err)
	}
	two.cancel()
	three.cancel()
	if err := errors.Join(await(t, "the second ends", two.ended), await(t, "the third ends", three.ended)); err != nil {
		t.Errorf("they ended with %v", err)
	}
	if lease, err = leases.Get(t.Context(), "cloudretro-test", metav1.GetOptions{}); err != nil || *lease.Spec.HolderIdentity != "" || *lease.Spec.LeaseDurationSeconds != 1 {
		t.Errorf("lease %+v, %v", lease, err)
	}
}

// leases is an API server that has Leases alone, and may be away.
type leases struct {
	mu      sync.Mutex
	version int
	lease   *coordinationv1.Lease
	away    bool
	status  int // answered to everything, 0 = none
}

func (l *leases) be(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// edit changes the Lease as somebody would by hand; nil deletes it.
func (l *leases) edit(spec *coordinationv1.LeaseSpec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version++
	l.lease = nil
	if spec != nil {
		l.lease = &coordinationv1.Lease{
			TypeMeta:   metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"},
			ObjectMeta: metav1.ObjectMeta{Name: "cloudretro-test", ResourceVersion: strconv.Itoa(l.version)}, Spec: *spec,
		}
	}
}

// now is the Lease as it is, nil if there is none.
func (l *leases) now() *coordinationv1.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease.DeepCopy()
}

func (l *leases) holder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease == nil {
		return ""
	}
	return *l.lease.Spec.HolderIdentity
}

func (l *leases) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errors.New("no route to host")
	}
	if l.status != 0 {
		return answer(r, l.status, metav1.Status{Status: metav1.StatusFailure, Code: int32(l.status), Reason: metav1.StatusReasonForbidden}), nil
	}
	if r.Method == http.MethodGet {
		if l.lease == nil {
			return answer(r, http.StatusNotFound, metav1.Status{Status: metav1.StatusFailure, Code: 404, Reason: metav1.StatusReasonNotFound}), nil
		}
		return answer(r, http.StatusOK, l.lease), nil
	}
	next := &coordinationv1.Lease{}
	if err := json.NewDecoder(r.Body).Decode(next); err != nil {
		return nil, err
	}
	if l.lease == nil && r.Method == http.MethodPut {
		return answer(r, http.StatusNotFound, metav1.Status{Status: metav1.StatusFailure, Code: 404, Reason: metav1.StatusReasonNotFound}), nil
	}
	if l.lease != nil && l.lease.ResourceVersion != next.ResourceVersion {
		return answer(r, http.StatusConflict, metav1.Status{Status: metav1.StatusFailure, Code: 409, Reason: metav1.StatusReasonConflict}), nil
	}
	l.version++
	next.ResourceVersion = strconv.Itoa(l.version)
	l.lease = next
	return answer(r, http.StatusOK, next), nil
}

func answer(r *http.Request, status int, body any) *http.Response {
	data, _ := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(data)),
	}
}

// connect is a client of it, by a connection of its own that breaks with broken.
func (l *leases) connect(t *testing.T, log io.Writer, broken *atomic.Bool) *cluster.Cluster {
	t.Helper()
	return through(t, log, func(r *http.Request) (*http.Response, error) {
		if broken.Load() {
			return nil, errors.New("no route to host")
		}
		return l.RoundTrip(r)
	})
}

// through is a client whose requests go a way of the test's own.
func through(t *testing.T, log io.Writer, way roundTrip) *cluster.Cluster {
	t.Helper()
	api, err := cluster.NewAPI(&rest.Config{Host: "http://api"}, &http.Client{Transport: way})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster.Cluster{API: api, Namespace: "n", Identity: "i", Logger: slog.New(slog.NewTextHandler(log, nil))}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Who is cut off stops before another one begins, and stands again afterwards.
func TestLeadLostAndWonAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &leases{}, &clustertest.Log{}
		var together atomic.Int32
		var cut, never atomic.Bool
		one := stand(t, api.connect(t, log, &cut), &together)
		<-one.leads
		two := stand(t, api.connect(t, io.Discard, &never), &together)
		time.Sleep(time.Minute)
		if len(two.leads) > 0 {
			t.Fatal("the second leads beside the first")
		}
		cut.Store(true)
		began := time.Now()
		<-two.leads
		if took := time.Since(began); took < 12*time.Second || took > 25*time.Second {
			t.Errorf("the second leads after %v", took)
		}
		time.Sleep(time.Minute)
		cut.Store(false)
		time.Sleep(time.Minute)
		if n, m := log.Count("does not answer"), log.Count("answers again"); n != 1 || m != 1 {
			t.Errorf("away said %d times, back %d times:\n%s", n, m, log)
		}
		two.cancel()
		if err := <-two.ended; err != nil {
			t.Errorf("the second ended with %v", err)
		}
		<-one.leads
	})
}

// The Lease is held until run has returned, however long that takes.
func TestLeadHoldsUntilRunReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &leases{}
		var never atomic.Bool
		c := api.connect(t, io.Discard, &never)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- c.Lead(ctx, "l", func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Minute)
				return errors.New("ended badly")
			})
		}()
		time.Sleep(time.Second)
		cancel()
		time.Sleep(50 * time.Second)
		if api.holder() == "" {
			t.Error("given up while run goes on")
		}
		if err := <-done; err == nil || err.Error() != "ended badly" {
			t.Errorf("ended with %v", err)
		}
		if h := api.holder(); h != "" {
			t.Errorf("still held by %s", h)
		}
	})
}

func TestLeadEnds(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		run  error
		api  *leases
		want error
		said string
	}{
		{"run returned nothing", nil, &leases{}, nil, "leads no more"},
		{"run failed", broken, &leases{}, broken, "leads no more"},
		{"no API server", broken, &leases{away: true}, nil, "no route to host"},
		{"no right", broken, &leases{status: http.StatusForbidden}, nil, "give the service account get, create and update on leases"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &clustertest.Log{}
				var never atomic.Bool
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := tt.api.connect(t, log, &never).Lead(ctx, "l", func(context.Context) error { return tt.run })
				if !errors.Is(err, tt.want) {
					t.Errorf("ended with %v, want %v", err, tt.want)
				}
				if log.Count(tt.said) != 1 {
					t.Errorf("want once %q in\n%s", tt.said, log)
				}
				tt.api.be(false)
				if h := tt.api.holder(); h != "" {
					t.Errorf("still held by %s", h)
				}
			})
		})
	}
}

func TestLeadRefusesAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var never atomic.Bool
	err := (&leases{}).connect(t, io.Discard, &never).Lead(ctx, "l", func(context.Context) error {
		t.Error("run")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
