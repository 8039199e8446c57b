package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Who sees another one's name in the Lease stops at once, and waits until that one
// is silent for as long as a Lease lasts.
func TestLeadStolen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &leases{}
		var together atomic.Int32
		var never atomic.Bool
		one := stand(t, api.connect(t, io.Discard, &never), &together)
		<-one.leads
		time.Sleep(time.Minute)
		stolen := *api.now()
		stolen.Spec.HolderIdentity = ptr.To("thief")
		api.edit(&stolen.Spec)
		time.Sleep(3 * time.Second)
		if together.Load() != 0 {
			t.Error("leads beside the thief")
		}
		began := time.Now()
		<-one.leads
		if took := time.Since(began); took < 12*time.Second || took > 18*time.Second {
			t.Errorf("leads again after %v", took)
		}
		spec := api.now().Spec
		if *spec.LeaseTransitions != 1 || !spec.AcquireTime.After(stolen.Spec.AcquireTime.Time) || *spec.LeaseDurationSeconds != 15 {
			t.Errorf("%+v", spec)
		}
	})
}

// A Lease that was deleted is made again while its holder goes on, unless another
// one was quicker: then the first ends.
func TestLeadDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &leases{}
		var together atomic.Int32
		var never atomic.Bool
		one := stand(t, api.connect(t, io.Discard, &never), &together)
		<-one.leads
		held := api.holder()
		api.edit(nil)
		time.Sleep(3 * time.Second)
		if api.holder() != held || together.Load() != 1 || len(one.leads) != 0 {
			t.Errorf("held by %q, %d lead", api.holder(), together.Load())
		}
		api.edit(nil)
		api.edit(&coordinationv1.LeaseSpec{HolderIdentity: ptr.To("quick"), LeaseDurationSeconds: ptr.To[int32](15)})
		time.Sleep(3 * time.Second)
		if api.holder() != "quick" || together.Load() != 0 {
			t.Errorf("held by %q, %d lead", api.holder(), together.Load())
		}
	})
}

// Whatever a Lease says, it is taken when nothing was heard of its holder for as
// long as ours last, or a minute at most, and is a valid one then.
func TestLeadOfNonsense(t *testing.T) {
	const soon, usual, late = 0, 15 * time.Second, time.Minute
	distant, past := metav1.NewMicroTime(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), metav1.NewMicroTime(time.Unix(0, 0))
	for name, tt := range map[string]struct {
		spec        coordinationv1.LeaseSpec
		after       time.Duration
		transitions int32
	}{
		"nothing":           {coordinationv1.LeaseSpec{}, soon, 1},
		"no holder":         {coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](math.MaxInt32), RenewTime: &distant}, soon, 1},
		"empty holder":      {coordinationv1.LeaseSpec{HolderIdentity: ptr.To(""), LeaseTransitions: ptr.To[int32](4)}, soon, 5},
		"no duration":       {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x")}, usual, 1},
		"none":              {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](0)}, usual, 1},
		"negative":          {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](math.MinInt32), LeaseTransitions: ptr.To[int32](-9)}, usual, 1},
		"for ever":          {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](math.MaxInt32)}, late, 1},
		"of long ago":       {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](15), RenewTime: &past, AcquireTime: &past}, usual, 1},
		"of the future":     {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](15), RenewTime: &distant}, usual, 1},
		"often passed on":   {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseTransitions: ptr.To[int32](math.MaxInt32)}, usual, math.MaxInt32},
		"a name like ours":  {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("i_"), LeaseDurationSeconds: ptr.To[int32](20)}, 20 * time.Second, 1},
		"with a strategy":   {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x"), Strategy: ptr.To(coordinationv1.OldestEmulationVersion)}, usual, 1},
		"a name of 1000000": {coordinationv1.LeaseSpec{HolderIdentity: ptr.To(strings.Repeat("x", 1e6))}, usual, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &leases{}
				api.edit(&tt.spec)
				var together atomic.Int32
				var never atomic.Bool
				began := time.Now()
				one := stand(t, api.connect(t, io.Discard, &never), &together)
				<-one.leads
				if took := time.Since(began); took < tt.after || took > tt.after+3*time.Second {
					t.Errorf("leads after %v, want %v", took, tt.after)
				}
				spec := api.now().Spec
				if *spec.LeaseTransitions != tt.transitions || *spec.LeaseDurationSeconds != 15 || spec.AcquireTime.Before(&metav1.MicroTime{Time: began}) ||
					!spec.RenewTime.Equal(spec.AcquireTime) || ptr.Deref(spec.Strategy, "") != ptr.Deref(tt.spec.Strategy, "") {
					t.Errorf("%+v", spec)
				}
				time.Sleep(5 * time.Second)
				if later := api.now().Spec; !later.RenewTime.After(spec.RenewTime.Time) || !later.AcquireTime.Equal(spec.AcquireTime) {
					t.Errorf("%+v, later %+v", spec, later)
				}
			})
		})
	}
}

// flaky is a way to the API server that fails in one way or another.
type flaky struct {
	api  *leases
	mode atomic.Int32
}

const (
	works    = iota
	refuses  // nothing arrives
	forgets  // what is asked for is done, but nobody hears of it
	swallows // nothing arrives and nobody is told
	modes
)

func (f *flaky) carry(r *http.Request) (*http.Response, error) {
	switch f.mode.Load() {
	case refuses:
		return nil, errors.New("no route to host")
	case forgets:
		if _, err := f.api.RoundTrip(r); err != nil {
			return nil, err
		}
		return nil, errors.New("cut")
	case swallows:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return f.api.RoundTrip(r)
}

// However the ways to the API server fail, no two lead at once (stand looks at
// that), and somebody does when they work.
func TestLeadAlone(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			api, dice := &leases{}, rand.New(rand.NewPCG(seed, 0))
			var together atomic.Int32
			var ways []*flaky
			for range 3 {
				way := &flaky{api: api}
				ways = append(ways, way)
				stand(t, through(t, io.Discard, way.carry), &together)
			}
			for range 200 {
				for _, way := range ways {
					way.mode.Store(int32(max(works, dice.IntN(2*modes)-modes+1)))
				}
				time.Sleep(time.Duration(dice.Int64N(int64(20 * time.Second))))
			}
			for _, way := range ways {
				way.mode.Store(works)
			}
			time.Sleep(time.Minute)
			if n := together.Load(); n != 1 {
				t.Errorf("seed %d: %d lead at the end", seed, n)
			}
			if spec := api.now().Spec; *spec.LeaseTransitions < 10 {
				t.Errorf("seed %d: it was passed on only %d times", seed, *spec.LeaseTransitions)
			}
		})
	}
}

// Whatever the API server has for a Lease, what is written is one that it takes.
func FuzzLease(f *testing.F) {
	f.Add(`{"metadata":{"name":"l","resourceVersion":"1"},"spec":{"holderIdentity":"x","leaseDurationSeconds":15,"leaseTransitions":3,"acquireTime":"2026-01-01T00:00:00.000000Z"}}`)
	f.Add(`{"spec":{"leaseDurationSeconds":-1,"leaseTransitions":2147483647}}`)
	f.Add(`{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","spec":null}`)
	f.Add(`{"spec":{"renewTime":"9999-12-31T23:59:59.999999Z","holderIdentity":""}}`)
	f.Add(`{"kind":"Status","status":"Failure","code":404}`)
	f.Add(`{"metadata":{"name":"another","namespace":"kube-system"},"spec":{"holderIdentity":"x"}}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, lease string) {
		synctest.Test(t, func(t *testing.T) {
			c := through(t, io.Discard, func(r *http.Request) (*http.Response, error) {
				if !strings.HasSuffix(r.URL.Path, "/leases") && !strings.HasSuffix(r.URL.Path, "/leases/l") {
					t.Errorf("asked for %s", r.URL.Path)
				}
				if r.Method == http.MethodGet {
					return answer(r, http.StatusOK, json.RawMessage(lease)), nil
				}
				var put coordinationv1.Lease
				if err := json.NewDecoder(r.Body).Decode(&put); err != nil {
					return nil, err
				}
				spec := put.Spec
				if *spec.HolderIdentity != "" && (*spec.LeaseDurationSeconds != 15 || *spec.LeaseTransitions < 0 || spec.AcquireTime == nil || spec.RenewTime == nil) {
					t.Errorf("wrote %+v", spec)
				}
				return answer(r, http.StatusOK, put), nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := c.Lead(ctx, "l", func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	})
}
