package check

import (
	"errors"
	"time"
)

// State is how a leg ended.
type State string

// States of a leg.
const (
	Passed State = "passed"
	Failed State = "failed"
	// Noted is a leg that could not be gone, for a reason that is no fault of
	// the server; Cause says which, Remedy how to go on.
	Noted State = "noted"
)

// Leg is one part of the way.
type Leg struct {
	Name   string // resolve, connect, tls, dtls, stun, allocate, peer or data
	State  State
	Took   time.Duration
	Found  string // what there was to see, in words; may be empty
	Code   int    // STUN error that the server answered with, 0 if none
	Cause  string // why it did not pass, in words
	Remedy string // what helps, in words; may be empty
}

// Report is what a check found.
type Report struct {
	URL  string
	Legs []Leg // as far as it came
	Data *Data // nil unless data was relayed
}

// Failed is the leg that failed, the last of Legs; ok is false if none did.
func (r Report) Failed() (leg Leg, ok bool) {
	if n := len(r.Legs); n > 0 && r.Legs[n-1].State == Failed {
		return r.Legs[n-1], true
	}
	return Leg{}, false
}

// Data is what the last leg measured: packets of 1200 bytes that went through
// the relay to the peer and were answered.
type Data struct {
	Sent, Answered int
	// Median, P95, P99 and Longest round trip of those answered.
	Median, P95, P99, Longest time.Duration
	// Throughput is the payload that was answered, in bit/s.
	Throughput float64
}

// Loss is the part of packets that were not answered, 0 to 1.
func (d Data) Loss() float64 {
	if d.Sent == 0 {
		return 0
	}
	return 1 - float64(d.Answered)/float64(d.Sent)
}

// fault is why a leg failed, in words.
type fault struct {
	code          int
	cause, remedy string
}

func (f fault) Error() string { return f.cause }

// remark is why a leg could not be gone though nothing is wrong.
type remark struct{ cause, remedy string }

func (r remark) Error() string { return r.cause }

// blame takes down why a leg did not pass.
func (l *Leg) blame(err error) {
	var f fault
	var r remark
	switch {
	case err == nil:
	case errors.As(err, &f):
		l.State, l.Code, l.Cause, l.Remedy = Failed, f.code, f.cause, f.remedy
	case errors.As(err, &r):
		l.State, l.Cause, l.Remedy = Noted, r.cause, r.remedy
	default:
		l.State, l.Cause = Failed, err.Error()
	}
}
