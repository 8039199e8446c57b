package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// obedient ends with its context.
func obedient(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// soon is the patience without any grace.
func soon() time.Duration { return patience }

func TestSupervise(t *testing.T) {
	broken := errors.New("it broke")
	tests := []struct {
		name  string
		parts map[string]func(context.Context) error
		want  []string // in the error; none = nil
	}{
		{"told to end", map[string]func(context.Context) error{"a": obedient, "b": obedient}, nil},
		{"one fails", map[string]func(context.Context) error{
			"a": obedient,
			"b": func(context.Context) error { return broken },
		}, []string{"b: it broke"}},
		{"one ends by itself", map[string]func(context.Context) error{
			"a": obedient,
			"b": func(context.Context) error { return nil },
		}, []string{"b: ended without a reason"}},
		{"one fails at the end", map[string]func(context.Context) error{
			"a": obedient,
			"b": func(ctx context.Context) error { <-ctx.Done(); return broken },
		}, []string{"b: it broke"}},
		{"one is slow", map[string]func(context.Context) error{
			"a": obedient,
			"b": func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Hour); return nil },
		}, []string{"b did not end within 10s"}},
		{"one is slow after a failure", map[string]func(context.Context) error{
			"a": func(context.Context) error { return broken },
			"b": func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Hour); return nil },
		}, []string{"b did not end within 10s", "a: it broke"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(30*time.Second, stop)
				defer time.Sleep(2 * time.Hour) // virtual: the bubble outlives the slow part
				var parts []part
				for _, name := range []string{"a", "b"} {
					parts = append(parts, part{name: name, run: tt.parts[name]})
				}
				err := supervise(ctx, parts, soon, slog.New(slog.DiscardHandler))
				if (err == nil) != (len(tt.want) == 0) {
					t.Fatalf("supervise: %v, want %q", err, tt.want)
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("supervise: %v, want one that says %q", err, want)
					}
				}
			})
		})
	}
}

// The last part ends before the one it depends on is told to.
func TestPartsEndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		slowly := func(name string) part {
			return part{name: name, run: func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				order = append(order, name)
				return nil
			}}
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		begin := time.Now()
		if err := supervise(ctx, []part{slowly("coordinator"), slowly("turn"), slowly("worker")}, soon, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order, " "); got != "worker turn coordinator" {
			t.Errorf("ended in the order %s", got)
		}
		if took := time.Since(begin); took != time.Minute+3*time.Second {
			t.Errorf("took %v, want a minute and 3 s", took)
		}
	})
}

// What a process that is to end waits for is told now and then.
func TestSuperviseTellsWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		stop()
		slow := part{name: "worker", left: func() []any { return []any{"rooms", 3} }, run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(2*progress + time.Second)
			return nil
		}}
		long := func() time.Duration { return time.Hour }
		if err := supervise(ctx, []part{slow}, long, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "of=worker rooms=3"); n != 2 {
			t.Errorf("told %d times:\n%s", n, out.String())
		}
	})
}

// Gates of one process end at the same time, not one after the other.
func TestTogether(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan struct{}, 2)
	wait := make(chan struct{})
	drains := func(ctx context.Context) error {
		<-ctx.Done()
		told <- struct{}{}
		<-wait
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- together([]func(context.Context) error{drains, drains})(ctx) }()
	cancel()
	<-told
	<-told // while the first still drains
	close(wait)
	if err := <-done; err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	err := together([]func(context.Context) error{drains, func(context.Context) error { return broken }})(context.Background())
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}
