package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// part is something that runs as long as the process.
type part struct {
	name string
	run  func(context.Context) error // blocks until its context ends (nil) or it fails
}

// supervise runs the parts until ctx ends (nil) or one of them ends by itself;
// that one's error is returned once the others have ended too. Parts that are
// given longer than patience to end are named in an error and left behind: the
// process is about to exit.
func supervise(ctx context.Context, parts []part, patience time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	ended := make(chan string, len(parts))
	for _, p := range parts {
		group.Go(func() error {
			defer func() { ended <- p.name }()
			err := p.run(ctx)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", p.name, err)
			case ctx.Err() == nil:
				return fmt.Errorf("%s: ended without a reason", p.name)
			}
			return nil
		})
	}
	<-ctx.Done()
	slow := awaitAll(parts, ended, patience)
	if len(slow) > 0 {
		return errors.Join(fmt.Errorf("%v did not end within %v", slow, patience), failure(ctx))
	}
	return group.Wait()
}

// awaitAll returns the names of the parts that have not ended in time.
func awaitAll(parts []part, ended <-chan string, patience time.Duration) []string {
	running := make(map[string]bool, len(parts))
	for _, p := range parts {
		running[p.name] = true
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for range parts {
		select {
		case name := <-ended:
			delete(running, name)
		case <-timeout.C:
			slow := make([]string, 0, len(running))
			for _, p := range parts {
				if running[p.name] {
					slow = append(slow, p.name)
				}
			}
			return slow
		}
	}
	return nil
}

// failure is the error that ended the group, nil when it was told to end.
func failure(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
