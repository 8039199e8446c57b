package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// families are the labels of all metrics that roles have, by name.
func families(t *testing.T, all []prometheus.Collector) map[string][]string {
	t.Helper()
	desc := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	names := map[string][]string{}
	for _, c := range all {
		to := make(chan *prometheus.Desc, 256)
		c.Describe(to)
		close(to)
		for d := range to {
			m := desc.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("no name in %s", d)
			}
			names[m[1]] = strings.Split(m[2], ",")
		}
	}
	return names
}

// wrongMetrics are those that a text names and nobody has: with their prefix
// anywhere, without it, or by their end alone, in backquotes.
func wrongMetrics(text string, has map[string][]string) (wrong []string, found int) {
	full := regexp.MustCompile("(`|cloudretro_)((?:coordinator|worker|turn|media|socket)_[a-z_]+)(?:\\{([^}]*)\\})?")
	for _, m := range full.FindAllStringSubmatch(text, -1) {
		name := m[2]
		if _, ok := has[name]; !ok {
			name = regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
		}
		if labels, ok := has[name]; !ok || len(unknownLabels(m[3], labels)) > 0 {
			wrong = append(wrong, m[0])
		}
		found++
	}
	for _, m := range regexp.MustCompile("`(?:\\.\\.\\.)?(_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
		known := false
		for name := range has {
			known = known || strings.HasSuffix(name, m[1])
		}
		if !known {
			wrong = append(wrong, m[0])
		}
	}
	return wrong, found
}

// unknownLabels are those of a selector (a="b",c!="d", or names alone) that a
// metric does not have, nor gets from the Prometheus that scrapes it.
func unknownLabels(selector string, labels []string) (unknown []string) {
	for _, m := range regexp.MustCompile(`(?:^|,)\s*([a-z_]+)`).FindAllStringSubmatch(selector, -1) {
		if !slices.Contains(labels, m[1]) && !slices.Contains([]string{"namespace", "pod"}, m[1]) {
			unknown = append(unknown, m[1])
		}
	}
	return unknown
}

// Every metric in the documents for operators is there, with its label.
func TestDocumentedMetrics(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	documents, err := filepath.Glob("../../deploy/*.[my][dm]*")
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	dashboards, err := filepath.Glob("../../deploy/kubernetes/components/monitoring/dashboards/*.json")
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	documents = append(documents, dashboards...)
	documents = append(documents, "../../deploy/kubernetes/base/scaling.yaml")
	texts := map[string]string{}
	for _, name := range documents {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(data)
	}
	t.Chdir(t.TempDir())
	cfg := defaults(t, "secrets.worker=0123456789abcdef0123", "coordinator.server.address=127.0.0.1:0", "library.basePath=", "ops.address=",
		"webrtc.singlePort=0", "worker.server.address=127.0.0.1:0", "turn.listeners=[{protocol: tcp, address: '127.0.0.1:0'}]")
	h, err := build(t.Context(), cfg, everyRole(), newLogger(io.Discard, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	has, sum := families(t, append(h.metrics, scalerMetrics(nil))), 0 // and what is there in a cluster alone
	for name, text := range texts {
		wrong, found := wrongMetrics(text, has)
		if sum += found; len(wrong) > 0 {
			t.Errorf("%s names metrics that nobody has: %s", name, wrong)
		}
	}
	if sum < 30 {
		t.Errorf("only %d metrics are documented; does the test find them?", sum)
	}
}

func TestWrongMetrics(t *testing.T) {
	has := map[string][]string{"worker_rooms": {""}, "worker_state": {"state"}, "coordinator_grant_seconds": {""}}
	for text, want := range map[string]int{
		"`worker_rooms`, `worker_state{state}`, `_state`, `..._rooms`": 0, "`worker_coordinators`": 1, "`worker_state{kind}`": 1,
		`cloudretro_worker_state{namespace="a",state="ready"}`: 0, `cloudretro_worker_state{namespace="a",kind="ready"}`: 1,
		"rate(cloudretro_coordinator_grant_seconds_bucket[5m])": 0, "cloudretro_worker_room": 1, "`_gone`": 1, "`worker.rooms.max`": 0,
	} {
		if wrong, _ := wrongMetrics(text, has); len(wrong) != want {
			t.Errorf("%s: %s", text, wrong)
		}
	}
}
