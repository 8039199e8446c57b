package coordinator

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// visits are the connections of an HTTP server. It counts those that end before
// a request of theirs is whole, which no handler hears of: who is too slow to say
// what they want, or says what is no HTTP. Its methods may be called concurrently.
type visits struct {
	refuse func(cause string)
	mu     sync.Mutex
	open   map[net.Conn]*visit
}

// visit is one connection. It is guarded by the mutex of visits.
type visit struct {
	since  time.Time // it was made, or its last request was answered
	begun  bool      // something was said since
	served bool      // which was a request
	before bool      // one was answered
}

type visitKey struct{}

func newVisits(refuse func(cause string)) *visits {
	return &visits{refuse: refuse, open: map[net.Conn]*visit{}}
}

// come is http.Server.ConnContext.
func (v *visits) come(ctx context.Context, conn net.Conn) context.Context {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := &visit{since: time.Now()}
	v.open[conn] = one
	return context.WithValue(ctx, visitKey{}, one)
}

// changed is http.Server.ConnState.
func (v *visits) changed(conn net.Conn, state http.ConnState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.open[conn]
	if one == nil {
		return
	}
	switch state {
	case http.StateActive:
		one.begun = true
	case http.StateIdle:
		*one = visit{since: time.Now(), before: true}
	case http.StateHijacked:
		delete(v.open, conn)
	case http.StateClosed:
		delete(v.open, conn)
		if cause := one.cause(time.Now()); cause != "" {
			v.refuse(cause)
		}
	}
}

// cause is why a visit that ends was refused, "" if it was not.
func (v *visit) cause(now time.Time) string {
	slow := now.Sub(v.since) >= headerTimeout
	switch {
	case v.served:
		return ""
	case slow && (v.begun || !v.before):
		return "slow"
	case v.begun:
		return "bad-request"
	}
	return "" // it said nothing, and went before we asked it to
}

// served notes that a request is whole.
func (v *visits) served(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if one, ok := r.Context().Value(visitKey{}).(*visit); ok {
			v.mu.Lock()
			one.served = true
			v.mu.Unlock()
		}
		next.ServeHTTP(rw, r)
	})
}
