package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// workerMetrics are a worker in numbers.
func workerMetrics(w *worker.Worker) prometheus.Collector {
	return collect(w.Status,
		gauge("worker_rooms", "Games that run.", func(s worker.Status) int { return s.Rooms }),
		gauge("worker_sessions", "Browsers that play or watch.", func(s worker.Status) int { return s.Sessions }),
		gauge("worker_games", "Games on offer.", func(s worker.Status) int { return s.Games }),
		gauges("worker_state", "1 for the state that the worker is in.", "state", func(s worker.Status) map[string]int {
			n := map[string]int{signal.StateReady: 0, signal.StateDraining: 0, signal.StateOverloaded: 0}
			n[s.State] = 1
			return n
		}),
		gauge("worker_places", "Games at once.", func(s worker.Status) int { return s.Places }),
		gauge("worker_places_free", "Places that are neither taken nor held.", func(s worker.Status) int { return s.Free }),
		gauge("worker_places_used_ratio", "Places that are taken or held, of all: what the workers are scaled by.", func(s worker.Status) float64 {
			return float64(s.Places-s.Free) / float64(max(s.Places, 1))
		}),
		gauge("worker_places_held", "Places that wait for their start.", func(s worker.Status) int { return s.Held }),
		gauge("worker_requests_standing", "Players that wait for a place here; one may wait at several workers.", func(s worker.Status) int { return s.Standing }),
		gauge("worker_frames_late_ratio", "Frames that began too late, of those of the last while.", func(s worker.Status) float64 { return float64(s.Late) / 1000 }),
		gauge("worker_coordinators", "Coordinators that are joined.", func(s worker.Status) int { return s.Coordinators }),
		gauges("worker_sandbox_gaps", "Parts of the sandbox around core processes that this host lacks.", "part", func(s worker.Status) map[string]int {
			n := map[string]int{}
			for _, part := range s.SandboxGaps {
				n[part] = 1
			}
			return n
		}),
	)
}

// mediaMetrics are what a worker's send path has done.
func mediaMetrics(w *worker.Worker) prometheus.Collector {
	return collect(w.Media,
		gauges("media_viewers", "Browsers that media flows to, by path: fast is our own, fallback is pion's writer.", "path", func(t send.Totals) map[string]int {
			return map[string]int{"fast": t.ViewersFast, "fallback": t.ViewersFallback}
		}),
		counter("media_packets_total", "RTP packets, resends included.", func(t send.Totals) uint64 { return t.Packets }),
		counter("media_bytes_total", "Bytes of RTP packets.", func(t send.Totals) uint64 { return t.Bytes }),
		counter("media_bursts_total", "Runs of packets of one size, handed to the socket at once.", func(t send.Totals) uint64 { return t.Bursts }),
		counter("media_frames_total", "Pictures sent, once for each viewer.", func(t send.Totals) uint64 { return t.Frames }),
		counter("media_sounds_total", "Packets of sound sent, once for each viewer.", func(t send.Totals) uint64 { return t.Sounds }),
		counters("media_frames_dropped_total", "Pictures not sent, once for each viewer.", "cause", func(t send.Totals) map[string]uint64 {
			return map[string]uint64{"slow": t.FramesDroppedSlow, "waiting": t.FramesDroppedWaiting, "malformed": t.FramesRefused}
		}),
		counter("media_sounds_dropped_total", "Packets of sound not sent to slow viewers.", func(t send.Totals) uint64 { return t.SoundsDropped }),
		counters("media_resends_total", "Lost packets sent again, on the retransmission stream or as they were.", "stream", func(t send.Totals) map[string]uint64 {
			return map[string]uint64{"rtx": t.ResentRTX, "plain": t.ResentPlain}
		}),
		counters("media_resends_refused_total", "Lost packets not sent again.", "cause", func(t send.Totals) map[string]uint64 {
			return map[string]uint64{"gone": t.RefusedGone, "unknown": t.RefusedUnknown, "soon": t.RefusedSoon, "budget": t.RefusedBudget}
		}),
		counter("media_key_frames_asked_total", "Key frames that browsers asked for.", func(t send.Totals) uint64 { return t.KeyFramesAsked }),
		counter("media_key_frames_refused_total", "Key frames that a browser asked for too often.", func(t send.Totals) uint64 { return t.KeyFramesRefused }),
		counters("media_feedback_dropped_total", "RTCP packets of browsers that were not read.", "cause", func(t send.Totals) map[string]uint64 {
			return map[string]uint64{"full": t.FeedbackDropped, "malformed": t.FeedbackBad}
		}),
		counters("media_unsent_total", "Packets that were not sent.", "cause", func(t send.Totals) map[string]uint64 {
			return map[string]uint64{"socket": t.Unsent, "seal": t.SealErrors, "pion": t.WriteErrors}
		}),
		counter("media_fragmented_total", "Packets larger than their path's MTU, which left as IP fragments.", func(t send.Totals) uint64 { return t.TooLarge }),
		counter("media_reports_total", "RTCP sender reports.", func(t send.Totals) uint64 { return t.Reports }),
		histogram("media_frame_seconds", "From a picture's arrival to its last packet's departure, once for each viewer.", frameTimes),
	)
}

func frameTimes(t send.Totals) distribution {
	d := distribution{counts: t.Latency[:], sum: t.LatencySum.Seconds()}
	for i := range len(t.Latency) - 1 {
		d.bounds = append(d.bounds, send.LatencyBound(i).Seconds())
	}
	return d
}

// socketMetrics are what the sockets of a worker's media port have done together.
func socketMetrics(w *worker.Worker) prometheus.Collector {
	type all = []batch.Stats
	sum := func(of func(batch.Stats) uint64) func(all) uint64 {
		return func(sockets all) (n uint64) {
			for _, s := range sockets {
				n += of(s)
			}
			return n
		}
	}
	return collect(w.Sockets,
		gauges("socket_open", "Sockets of the media port, by whether segmentation offload is in use.", "segmentation", func(sockets all) map[string]int {
			n := map[string]int{"on": 0, "off": 0}
			for _, s := range sockets {
				n[map[bool]string{true: "on", false: "off"}[s.Segmentation]]++
			}
			return n
		}),
		counter("socket_packets_total", "Datagrams sent.", sum(func(s batch.Stats) uint64 { return s.Packets })),
		counter("socket_bytes_total", "Payload of datagrams sent.", sum(func(s batch.Stats) uint64 { return s.Bytes })),
		counter("socket_calls_total", "System calls that sent.", sum(func(s batch.Stats) uint64 { return s.Syscalls })),
		histogram("socket_segments", "Datagrams of each message to the kernel.", segments),
		counter("socket_refused_total", "Messages larger than their path's MTU, sent again datagram by datagram.", sum(func(s batch.Stats) uint64 { return s.TooLarge })),
		counters("socket_dropped_total", "Datagrams not sent.", "cause", func(sockets all) map[string]uint64 {
			return map[string]uint64{
				"congested": sum(func(s batch.Stats) uint64 { return s.DroppedCongested })(sockets),
				"closed":    sum(func(s batch.Stats) uint64 { return s.DroppedClosed })(sockets),
				"error":     sum(func(s batch.Stats) uint64 { return s.DroppedError })(sockets),
			}
		}),
		counter("socket_received_total", "Datagrams received.", sum(func(s batch.Stats) uint64 { return s.Received })),
		counter("socket_received_bytes_total", "Payload of datagrams received.", sum(func(s batch.Stats) uint64 { return s.ReceivedBytes })),
		counter("socket_received_large_total", "Datagrams received and dropped for their size.", sum(func(s batch.Stats) uint64 { return s.ReceivedTooLarge })),
		counter("socket_read_errors_total", "Errors of the sockets that ended nothing, ICMP's for example.", sum(func(s batch.Stats) uint64 { return s.ReadErrors })),
	)
}

// segments are the buckets of batch.Stats.Segments: 1, 2, 4 .. 64 datagrams.
func segments(sockets []batch.Stats) distribution {
	d := distribution{counts: make([]uint64, batch.SegmentBuckets)}
	for i := range d.counts {
		d.bounds = append(d.bounds, float64(int(1)<<i))
	}
	for _, s := range sockets {
		d.sum += float64(s.Packets)
		for i, n := range s.Segments {
			d.counts[i] += n
		}
	}
	return d
}
