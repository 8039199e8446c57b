package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseLoadgen(t *testing.T) {
	a, err := parse(strings.Fields("--set a=b loadgen --coordinators a:1,b:2 --coordinators c:3 --workers 3 --total 200 --browsers 9 " +
		"--starts 1000 --rate 2.5 --hold 3s --ramp 4s --calm 5s --duration 6s --media 7 --zones 2 --libraries 2 --pid 12 --ops x:9 --json"))
	if err != nil {
		t.Fatal(err)
	}
	l := a.load
	if a.command != "loadgen" || strings.Join(l.Coordinators, " ") != "a:1 b:2 c:3" || l.Workers != 3 || l.Total != 200 || l.Browsers != 9 ||
		l.Starts != 1000 || l.Rate != 2.5 || l.Hold != 3*time.Second || l.Ramp != 4*time.Second || l.Calm != 5*time.Second ||
		l.Duration != 6*time.Second || l.Media != 7 || l.Zones != 2 || l.Libraries != 2 || l.PIDs[0] != 12 || l.Ops[0] != "x:9" || !l.json {
		t.Errorf("parsed %+v", l)
	}
	for args, want := range map[string]string{
		"loadgen --pid x":   "pid",
		"loadgen here":      "here",
		"--workers 3":       "workers",
		"config --starts 3": "starts",
	} {
		if _, err := parse(strings.Fields(args)); exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a mistake that names %q", args, err, want)
		}
	}
	for args, want := range map[string]string{
		"loadgen":                               "where to",
		"loadgen --spawn 1 --workers 20000":     "20000",
		"loadgen --coordinators x:1 --spawn 1":  "not both",
		"loadgen --coordinators x:1 --rate -3":  "--rate",
		"loadgen --coordinators x:1 --starts 1": "--game",
	} {
		if err := (program{stderr: &strings.Builder{}}).main(t.Context(), strings.Fields(args)); exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a mistake that says %q", args, err, want)
		}
	}
}

// Coordinators in processes of their own, as `make bench-start` has them.
func TestLoadgenSpawns(t *testing.T) {
	cmd := command(t, "loadgen", "--spawn", "2", "--workers", "3", "--total", "10", "--browsers", "10", "--starts", "10",
		"--hold", "200ms", "--ramp", "100ms", "--calm", "100ms", "--name", "small")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	for _, want := range []string{"small", "10 of 10", "6 of 6", "resident when idle"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs.String(), "links of workers") {
		t.Errorf("no progress: %s", errs.String())
	}
}
