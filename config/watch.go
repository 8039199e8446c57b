package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watcher notices that configuration files have changed.
type Watcher struct {
	// Files are the paths that Load is given.
	Files []string
	// Settle is how long nothing must have happened before the files are read, as
	// editors write in several steps; 0 means 200 ms.
	Settle time.Duration
	// Recheck is how often they are read although nothing was noticed: file
	// systems of networks tell nothing, and events may be lost. 0 means 30 s.
	Recheck time.Duration
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Defaults of Watcher.
const (
	settle  = 200 * time.Millisecond
	recheck = 30 * time.Second
)

// Run calls changed at first, and whenever what the files hold is not what it was,
// until ctx ends. That a file is missing, or cannot be read, is a change too. The
// folders of the files are watched: a mounted ConfigMap changes by a link beside
// the file that leads to other contents (kubernetes.io, "Mounted ConfigMaps are
// updated automatically"), and editors replace files by others. The error is nil.
func (w Watcher) Run(ctx context.Context, changed func()) error {
	if w.Settle <= 0 {
		w.Settle = settle
	}
	if w.Recheck <= 0 {
		w.Recheck = recheck
	}
	if w.Logger == nil {
		w.Logger = slog.New(slog.DiscardHandler)
	}
	events, faults, stop := w.watch()
	defer stop()
	var known []byte
	look := func() {
		if now := w.digest(); !bytes.Equal(now, known) {
			known = now
			changed()
		}
	}
	quiet, again := time.NewTimer(w.Settle), time.NewTicker(w.Recheck)
	defer quiet.Stop()
	defer again.Stop()
	look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			quiet.Reset(w.Settle)
		case err := <-faults: // more happened than there was room for
			w.Logger.Debug("events of configuration files are lost", "cause", err)
			quiet.Reset(w.Settle)
		case <-quiet.C:
			look()
		case <-again.C:
			look()
		}
	}
}

// watch begins to watch the folders. Channels are nil where that is impossible,
// which costs patience alone.
func (w Watcher) watch() (events <-chan fsnotify.Event, faults <-chan error, stop func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.Logger.Warn("configuration files are looked at seldom, as they cannot be watched", "every", w.Recheck, "cause", err)
		return nil, nil, func() {}
	}
	for _, name := range w.Files {
		if err := watcher.Add(filepath.Dir(name)); err != nil {
			w.Logger.Warn("configuration file is looked at seldom, as its folder cannot be watched", "file", name, "every", w.Recheck, "cause", err)
		}
	}
	return watcher.Events, watcher.Errors, func() { _ = watcher.Close() } // nothing is lost by it
}

// digest tells apart what the files hold.
func (w Watcher) digest() []byte {
	all := sha256.New()
	for _, name := range w.Files {
		one, err := digestOf(name)
		if err != nil {
			one = []byte(err.Error())
		}
		sum := sha256.Sum256(one)
		all.Write(sum[:])
	}
	return all.Sum(nil)
}

func digestOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	one := sha256.New()
	if _, err := io.Copy(one, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, err
	}
	return one.Sum(nil), nil
}
