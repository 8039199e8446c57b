package coordinator

import (
	"context"
	"strconv"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// requestTimeout is for an answer of a worker.
const requestTimeout = 15 * time.Second

// maxPending bounds the requests that a worker owes an answer to.
const maxPending = 20_000

// post sends a message that is not answered. It answers false if the worker is gone.
func (w *workerLink) post(t signal.Type, session string, payload any) bool {
	return w.sock.send(encode(t, "", session, payload))
}

// ask sends a request and waits for its answer, of whatever type but
// signal.TypeError, at most patience. Its error is an *signal.Error: the worker's
// own, or why there is no answer. A Reserve that does not wait counts against the
// worker's free places until its answer is there.
func (w *workerLink) ask(
	ctx context.Context, t signal.Type, session string, payload any, patience time.Duration,
) (signal.Envelope, error) {
	end := func(bool) {}
	if r, ok := payload.(signal.Reserve); ok && !r.Wait {
		end = w.begin()
	}
	id, answer, forget := w.expect()
	defer forget()
	if !w.sock.send(encode(t, id, session, payload)) {
		end(false)
		return signal.Envelope{}, errWorkerGone()
	}
	e, err := w.wait(ctx, answer, patience)
	end(err == nil)
	return e, err
}

// wait waits for an answer and reads the worker's errors.
func (w *workerLink) wait(ctx context.Context, answer <-chan signal.Envelope, patience time.Duration) (signal.Envelope, error) {
	asked := time.Now()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case e := <-answer:
		w.answered(time.Since(asked))
		if e.Type != signal.TypeError {
			return e, nil
		}
		refusal, err := signal.Read[signal.Error](e)
		if err != nil {
			return e, signal.Errorf(signal.CodeFailed, "the worker's refusal is malformed: %v", err)
		}
		return e, &refusal
	case <-timeout.C:
		w.miss(time.Now())
		return signal.Envelope{}, signal.Errorf(signal.CodeFailed, "the worker did not answer within %s; try again", patience.Round(time.Millisecond))
	case <-w.sock.done:
		return signal.Envelope{}, errWorkerGone()
	case <-ctx.Done():
		return signal.Envelope{}, signal.Errorf(signal.CodeFailed, "the request was given up, or the coordinator is stopping; try again")
	}
}

func errWorkerGone() *signal.Error {
	return signal.Errorf(signal.CodeNoWorker, "the worker went away; try again")
}

// expect makes the id of a request and the channel its answer comes by. The
// func must be called when no answer is waited for any more.
func (w *workerLink) expect() (id string, answer <-chan signal.Envelope, forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextID++
	id = strconv.FormatUint(w.nextID, 10)
	ch := make(chan signal.Envelope, 1)
	if len(w.pending) >= maxPending {
		ch <- overburdened(id)
		return id, ch, func() {}
	}
	w.pending[id] = ch
	return id, ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pending, id)
	}
}

// overburdened is an answer in the name of a worker that owes too many.
func overburdened(id string) signal.Envelope {
	e, err := signal.Decode(encode(signal.TypeError, id, "", signal.Errorf(signal.CodeBusy, "the worker owes too many answers; try again")), signal.MaxInternal)
	if err != nil {
		panic("coordinator: our own error cannot be read: " + err.Error())
	}
	return e
}

// await waits at most patience for the answer of a Start, Join or Offer. Its
// error is an *signal.Error.
func (w *workerLink) await(ctx context.Context, answer <-chan signal.Envelope, patience time.Duration) (signal.Answer, error) {
	e, err := w.wait(ctx, answer, patience)
	if err != nil {
		return signal.Answer{}, err
	}
	if e.Type != signal.TypeAnswer {
		return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker answered with %q", e.Type)
	}
	a, err := signal.Read[signal.Answer](e)
	if err != nil {
		return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker's answer is malformed: %v", err)
	}
	return a, nil
}

// resolve hands an answer to who waits for it; false if nobody does.
func (w *workerLink) resolve(e signal.Envelope) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, ok := w.pending[e.ID]
	if ok {
		delete(w.pending, e.ID)
		ch <- e // has room for the one answer
	}
	return ok
}

// grantsHold is how long a place that the worker gave counts, besides what it
// announces: its Load comes at once.
const grantsHold = time.Second

// begin counts a place that the worker is asked for until end, which says
// whether it was given: then until the worker says how many are left.
func (w *workerLink) begin() (end func(given bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asking++
	said := w.loads
	return func(given bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asking--
		if given && w.loads == said { // else the Load that came meanwhile may count it already
			w.given, w.givenAt = w.given+1, time.Now()
		}
	}
}

// setLoad is what the worker says of itself.
func (w *workerLink) setLoad(load signal.Load) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load, w.given = load, 0
	w.loads++
}

// loadNow is the worker's load as it last said, with the places that it was asked
// for and has not answered, or has just given, taken from the free ones.
func (w *workerLink) loadNow(now time.Time) signal.Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	load := w.load
	load.Free -= w.asking
	if w.given > 0 && now.Sub(w.givenAt) < grantsHold {
		load.Free -= w.given
	}
	return load
}

// said is the worker's load as it last said.
func (w *workerLink) said() signal.Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.load
}

// missFor is how long a worker is not asked for a place that did not answer in
// time: each start would wait for it as long, and it looks the least loaded of all.
const missFor = 5 * time.Second

// miss notes that an answer did not come in time.
func (w *workerLink) miss(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed = now.Add(missFor)
}

// free is how many places are free, as the worker last said, less those it was
// asked for since. It may be negative. Of a worker that does not answer none is.
func (w *workerLink) free() int {
	now := time.Now()
	w.mu.Lock()
	missed := now.Before(w.missed)
	w.mu.Unlock()
	if missed {
		return 0
	}
	return w.loadNow(now).Free
}
