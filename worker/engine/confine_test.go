package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// proc reads a file of a process.
func proc(t *testing.T, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCoreProcessIsConfined(t *testing.T) {
	t.Setenv("CLOUDRETRO_SECRETS_WORKER", "hunter2")
	r := startRig(t, Config{Env: []string{"LANG=C"}}, Spec{Kind: KindTestCard})
	r.rec.wait(t, "ready", r.rec.has(EventReady))
	pid := r.Pid()
	if got := proc(t, pid, "environ"); got != "LANG=C\x00" {
		t.Errorf("environment %q", got)
	}
	if got := proc(t, pid, "status"); !strings.Contains(got, "NoNewPrivs:\t1") {
		t.Errorf("it may gain privileges:\n%s", got)
	}
	for line := range strings.Lines(proc(t, pid, "limits")) {
		if strings.HasPrefix(line, "Max core file size") && strings.Fields(line)[4] != "0" {
			t.Errorf("it may dump core: %s", line)
		}
	}
	r.checkNetwork(t, pid)
	r.checkFiles(t, pid)
}

// checkNetwork checks that the process sees no network but its own loopback.
func (r *rig) checkNetwork(t *testing.T, pid int) {
	if strings.Contains(r.info(t).Unconfined, "network namespace") {
		t.Log("this host gives no network namespaces")
		return
	}
	for line := range strings.Lines(proc(t, pid, "net/dev")) {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "eth0" {
			t.Errorf("it sees %s", line)
		}
	}
	ours, _ := os.Readlink("/proc/self/ns/net")
	theirs, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if ours == theirs {
		t.Errorf("it shares network namespace %s", ours)
	}
}

// checkFiles checks that the process holds no socket or file of the worker but its own.
func (r *rig) checkFiles(t *testing.T, pid int) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, e := range entries {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	if sockets != 1 {
		t.Errorf("%d sockets are open in it, want the one to the worker", sockets)
	}
}

func countFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Nothing is left of engines that have run: no file, no goroutine, no process.
func TestNothingIsLeft(t *testing.T) {
	once := func() {
		r := rogueRig(t, "exit", Config{RestartLimit: 2})
		_ = r.result(t)
		r.stop()
	}
	once()
	files, goroutines := countFiles(t), runtime.NumGoroutine()
	for range 5 {
		once()
	}
	deadline := time.Now().Add(patience) // threads end a little after their goroutines
	for countFiles(t) > files || runtime.NumGoroutine() > goroutines {
		if time.Now().After(deadline) {
			t.Fatalf("%d files, were %d; %d goroutines, were %d", countFiles(t), files, runtime.NumGoroutine(), goroutines)
		}
		runtime.Gosched()
	}
}

// A core process does not outlive a worker that is killed.
func TestCoreProcessEndsWithItsWorker(t *testing.T) {
	needCodecs(t)
	worker := exec.Command(testBinary(t), workerCommand)
	out, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatalf("read the pid of its core process: %v", err)
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait() // killed
	for deadline := time.Now().Add(patience); alive(pid); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is left", pid)
		}
	}
}

// alive says whether a process runs; a zombie that nobody waits for does not.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

// workerCommand makes the test binary a worker with one engine, which prints the
// pid of its core process and runs until it is killed.
const workerCommand = "worker"

func workerMain() int {
	command, err := os.Executable()
	if err != nil {
		return 1
	}
	e, err := New(Config{Command: []string{command, CoreCommand}}, Spec{Kind: KindTestCard}, nowhere{})
	if err != nil {
		return 1
	}
	go func() {
		for e.Pid() == 0 {
			time.Sleep(time.Millisecond) // a process of its own, not a test
		}
		fmt.Println(e.Pid())
	}()
	_ = e.Run(context.Background())
	return 0
}
