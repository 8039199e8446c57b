package uplink

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// maxSaid bounds the different causes that are logged until a link is made.
const maxSaid = 8

// seeker keeps a link to whoever is at one endpoint.
type seeker struct {
	keeper   *Keeper
	endpoint discovery.Endpoint
	log      *slog.Logger
	changed  chan struct{} // the endpoint is not named any more; capacity 1
	wanted   bool          // guarded by the keeper's mutex

	// The rest is of run's goroutine.
	attempt int                 // refusals with CodeDenied
	pause   time.Duration       // the next one, before jitter
	said    map[string]struct{} // causes that were logged since the last link
}

func newSeeker(k *Keeper, endpoint discovery.Endpoint) *seeker {
	log := k.log.With("coordinator", endpoint.URL)
	if endpoint.Dial != "" {
		log = log.With("address", endpoint.Dial)
	}
	return &seeker{
		keeper: k, endpoint: endpoint, log: log, changed: make(chan struct{}, 1), wanted: true,
		pause: k.times.first, said: map[string]struct{}{},
	}
}

// duplicateError says that the coordinator is linked by another endpoint.
type duplicateError struct {
	over <-chan struct{} // closes when that link ends
}

func (duplicateError) Error() string { return "the coordinator is joined by another of its addresses" }

// run joins again and again, until ctx ends or the endpoint is gone.
func (s *seeker) run(ctx context.Context) {
	for ctx.Err() == nil && !s.keeper.retire(s) {
		lasted, err := s.join(ctx)
		if ctx.Err() != nil {
			return
		}
		var duplicate duplicateError
		if errors.As(err, &duplicate) {
			// Somebody else may be there one day: it is looked up now and then.
			s.wait(ctx, jitter(s.keeper.times.again), duplicate.over)
			continue
		}
		s.wait(ctx, s.backOff(lasted, err), nil)
	}
}

// backOff says how long to wait after a failure, and logs a cause that is new.
// lasted is how long the link lasted, 0 if there was none.
func (s *seeker) backOff(lasted time.Duration, err error) time.Duration {
	limit := s.keeper.times.refused
	if lasted > 0 || away(err) {
		limit = s.keeper.times.away
	}
	if lasted >= s.keeper.times.settled {
		s.pause = s.keeper.times.first
	}
	var refusal *signal.Error
	if errors.As(err, &refusal) && refusal.Code == signal.CodeDenied {
		s.attempt++
	}
	pause := jitter(min(s.pause, limit))
	s.pause = min(2*s.pause, limit)
	cause := gist(err)
	if _, known := s.said[cause]; !known && len(s.said) < maxSaid {
		s.said[cause] = struct{}{}
		if farewell(err) {
			s.log.Info("coordinator has gone, trying on", "cause", err)
		} else {
			s.log.Warn("coordinator is not connected, trying on", "cause", err)
		}
	}
	return pause
}

// farewell says whether a coordinator has told that it goes, as in every rollout.
func farewell(err error) bool {
	var closed *websocket.CloseError
	return errors.As(err, &closed) && slices.Contains([]int{websocket.CloseGoingAway, websocket.CloseServiceRestart}, closed.Code)
}

// jitter spreads a time over its last three quarters: a thousand workers that
// lose a coordinator at once must not come back at once.
func jitter(d time.Duration) time.Duration { return d/4 + rand.N(d-d/4) }

// gist is an error's text without what differs each time: our own port.
func gist(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// away says whether an error means that nobody is there at the moment, who may
// be there in the next: all but refusals and time-outs.
func away(err error) bool {
	for _, errno := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENETUNREACH,
		syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var status statusError
	if errors.As(err, &status) {
		return status.code == http.StatusBadGateway // of a proxy that does not reach it
	}
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return false
	}
	return slices.Contains([]int{websocket.CloseAbnormalClosure, websocket.CloseGoingAway, websocket.CloseServiceRestart}, closed.Code)
}

// wait is a pause that ends early with ctx, with over, or when the endpoint is
// not named any more.
func (s *seeker) wait(ctx context.Context, d time.Duration, over <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-s.changed:
	case <-ctx.Done():
	}
}
