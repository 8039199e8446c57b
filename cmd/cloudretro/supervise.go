package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// part is something that runs as long as the process.
type part struct {
	name string
	run  func(context.Context) error // blocks until its context ends (nil) or it fails
	// left is what the part still has to do when it was told to end, as the logger
	// takes it; nil for nothing of interest.
	left func() []any
}

// running is a part with the means to end it.
type running struct {
	part
	stop context.CancelFunc
	done chan struct{}
}

// progress is how often it is told what a process that is to end waits for.
const progress = 30 * time.Second

// supervise runs the parts until ctx ends (nil) or one of them ends by itself;
// that one's error is returned once the others have ended too. They are ended
// one after the other, the last one first, so that a worker can still tell its
// browsers by way of the coordinator. A part that lets the others wait longer
// than patience says by then, all together, is named in an error and left behind
// with those before it: the process is about to exit.
func supervise(ctx context.Context, parts []part, patience func() time.Duration, log *slog.Logger) error {
	group, ended := errgroup.WithContext(ctx)
	var all []running
	for _, p := range parts {
		// The group's end must not reach the part before its turn.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		r := running{p, stop, make(chan struct{})}
		all = append(all, r)
		group.Go(func() error {
			defer close(r.done)
			return runPart(partCtx, p)
		})
	}
	<-ended.Done()
	if err := endInOrder(all, patience(), log); err != nil {
		return errors.Join(err, failure(ended))
	}
	return group.Wait()
}

// runPart names the part in its error; an end that nobody asked for is one.
func runPart(ctx context.Context, p part) error {
	err := p.run(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.name, err)
	case ctx.Err() == nil:
		return fmt.Errorf("%s: ended without a reason", p.name)
	}
	return nil
}

// endInOrder ends the parts from the last to the first.
func endInOrder(all []running, patience time.Duration, log *slog.Logger) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for i := len(all) - 1; i >= 0; i-- {
		all[i].stop()
		if !all[i].await(timeout.C, log) {
			return fmt.Errorf("%s did not end within %v", all[i].name, patience)
		}
	}
	return nil
}

// await says whether a part that was told to end does so in time.
func (r running) await(timeout <-chan time.Time, log *slog.Logger) bool {
	tell := time.NewTicker(progress)
	defer tell.Stop()
	for {
		select {
		case <-r.done:
			return true
		case <-timeout:
			return false
		case <-tell.C:
			var left []any
			if r.left != nil {
				left = r.left()
			}
			log.Info("waits for the end", append([]any{"of", r.name}, left...)...)
		}
	}
}

// failure is the error that ended the group, nil when it was told to end.
func failure(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
