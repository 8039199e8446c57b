package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
)

func TestHistogram(t *testing.T) {
	address := startOps(t, nil, collect(func() distribution {
		return distribution{bounds: []float64{0.5, 1}, counts: []uint64{3, 0, 2}, sum: 9.5}
	}, histogram("wait_seconds", "Waits.", func(d distribution) distribution { return d })))
	_, text := get(t, "http://"+address+"/metrics")
	for _, want := range []string{
		"# TYPE cloudretro_wait_seconds histogram\n", `cloudretro_wait_seconds_bucket{le="0.5"} 3`, `cloudretro_wait_seconds_bucket{le="1"} 3`,
		`cloudretro_wait_seconds_bucket{le="+Inf"} 5`, "cloudretro_wait_seconds_sum 9.5\n", "cloudretro_wait_seconds_count 5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

func TestFrameTimes(t *testing.T) {
	totals := send.Totals{LatencySum: 1500 * time.Millisecond}
	totals.Latency[0], totals.Latency[send.LatencyBuckets-1] = 4, 1
	d := frameTimes(totals)
	if d.sum != 1.5 || d.counts[0] != 4 || len(d.bounds) != len(d.counts)-1 || d.bounds[0] != 0.00025 || !slices.IsSorted(d.bounds) {
		t.Errorf("%+v", d)
	}
}

func TestSegments(t *testing.T) {
	a, b := batch.Stats{Packets: 70}, batch.Stats{Packets: 1}
	a.Segments[batch.SegmentBuckets-1], a.Segments[0], b.Segments[0] = 1, 6, 1
	d := segments([]batch.Stats{a, b})
	if d.sum != 71 || d.counts[0] != 7 || d.counts[batch.SegmentBuckets-1] != 1 || d.bounds[0] != 1 || d.bounds[batch.SegmentBuckets-1] != 64 {
		t.Errorf("%+v", d)
	}
}

// TestMetricsOfAWorker: what dashboards are built on.
func TestMetricsOfAWorker(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Chdir(t.TempDir())
	h := &house{cfg: defaults(t, "secrets.worker=0123456789abcdef0123", "worker.network.coordinatorAddress=127.0.0.1:1", "library.basePath=",
		"webrtc.singlePort=0", "worker.server.address=127.0.0.1:0"), log: newLogger(io.Discard, defaults(t).Log)}
	if err := h.addWorker(); err != nil {
		t.Fatal(err)
	}
	defer h.close()
	code, text := get(t, "http://"+startOps(t, nil, h.metrics...)+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	for _, want := range []string{
		`cloudretro_media_viewers{path="fast"} 0`, `cloudretro_media_viewers{path="fallback"} 0`, "cloudretro_media_packets_total 0\n",
		`cloudretro_media_frames_dropped_total{cause="slow"} 0`, `cloudretro_media_resends_total{stream="rtx"} 0`,
		`cloudretro_media_frame_seconds_bucket{le="0.00025"} 0`, `cloudretro_socket_segments_bucket{le="64"} 0`,
		`cloudretro_socket_dropped_total{cause="congested"} 0`, `cloudretro_socket_open{segmentation="`, "cloudretro_worker_rooms 0\n",
		`cloudretro_worker_state{state="ready"} 1`, `cloudretro_worker_state{state="overloaded"} 0`, "cloudretro_worker_places_held 0\n",
		"cloudretro_worker_requests_standing 0\n", "cloudretro_worker_places_used_ratio 0\n", "cloudretro_worker_frames_late_ratio 0\n", "cloudretro_worker_places_free ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}
