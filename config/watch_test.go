package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// mount makes a folder as the kubelet does for a ConfigMap: the file is a link
// into ..data, which is a link to the folder of one version.
func mount(t *testing.T, dir, version, text string) {
	t.Helper()
	folder := filepath.Join(dir, ".."+version)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "config.yaml"), text)
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	link(".."+version, "..data_tmp")
	rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	link(filepath.Join("..data", "config.yaml"), "config.yaml")
}

func TestWatcher(t *testing.T) {
	tests := map[string]struct {
		before, change func(t *testing.T, dir, name string)
		changes        bool
	}{
		"plain edit": {
			func(t *testing.T, _, name string) { put(t, name, "a") },
			func(t *testing.T, _, name string) { put(t, name, "b") }, true,
		},
		"replaced": {
			func(t *testing.T, _, name string) { put(t, name, "a") },
			func(t *testing.T, _, name string) { put(t, name+"~", "b"); rename(t, name+"~", name) }, true,
		},
		"comes": {
			func(*testing.T, string, string) {},
			func(t *testing.T, _, name string) { put(t, name, "b") }, true,
		},
		"goes": {
			func(t *testing.T, _, name string) { put(t, name, "a") },
			func(t *testing.T, _, name string) { rename(t, name, name+".old") }, true,
		},
		"ConfigMap": {
			func(t *testing.T, dir, _ string) { mount(t, dir, "one", "a") },
			func(t *testing.T, dir, _ string) { mount(t, dir, "two", "b") }, true,
		},
		"the same again": {
			func(t *testing.T, dir, _ string) { mount(t, dir, "one", "a") },
			func(t *testing.T, dir, _ string) { mount(t, dir, "two", "a") }, false,
		},
		"another file": {
			func(t *testing.T, _, name string) { put(t, name, "a") },
			func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "other"), "b") }, false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config.yaml")
			tt.before(t, dir, file)
			changes, end := watched(t, Watcher{Files: []string{file}, Settle: time.Millisecond, Recheck: time.Hour})
			awaitChange(t, changes) // the first
			tt.change(t, dir, file)
			if !tt.changes { // the next that is told is the one that follows
				put(t, file+"~", "c")
				rename(t, file+"~", file)
			}
			awaitChange(t, changes)
			if end(); !tt.changes && len(changes) != 0 {
				t.Error("told twice")
			}
		})
	}
}

// What is not told by the file system is found all the same.
func TestWatcherLooksAgain(t *testing.T) {
	base := t.TempDir()
	elsewhere, file := filepath.Join(base, "elsewhere.yaml"), filepath.Join(base, "folder", "config.yaml")
	put(t, elsewhere, "a")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Fatal(err)
	}
	changes, _ := watched(t, Watcher{Files: []string{file}, Settle: time.Millisecond, Recheck: 10 * time.Millisecond})
	awaitChange(t, changes)
	put(t, elsewhere, "b")
	awaitChange(t, changes)
}

// A folder that is not there is said to be looked for, and is found.
func TestWatcherWithoutFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	file := filepath.Join(dir, "config.yaml")
	var log strings.Builder
	changes, end := watched(t, Watcher{
		Files: []string{file}, Recheck: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	awaitChange(t, changes)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, file, "a")
	awaitChange(t, changes)
	end()
	if !strings.Contains(log.String(), "cannot be watched") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestDigest(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, a, "xy")
	put(t, b, "z")
	one := string(Watcher{Files: []string{a, b}}.digest())
	put(t, a, "x")
	put(t, b, "yz")
	if string(Watcher{Files: []string{a, b}}.digest()) == one {
		t.Error("what one file ends with is what another begins with")
	}
}

// watched runs a watcher until end is called or the test ends.
func watched(t *testing.T, w Watcher) (changes <-chan struct{}, end func()) {
	t.Helper()
	told, done := make(chan struct{}, 64), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- w.Run(ctx, func() { told <- struct{}{} }) }()
	ended := false
	end = func() {
		if cancel(); ended {
			return
		}
		ended = true
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(end)
	return told, end
}

func awaitChange(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("the change is not told")
	}
}
