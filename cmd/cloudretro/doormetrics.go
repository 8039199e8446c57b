package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// certificateMetrics are the certificates of a role in numbers; none without TLS.
func certificateMetrics(role string, take func() []certificate.Status) prometheus.Collector {
	type all = []certificate.Status
	return collect(take,
		gauges(role+"_certificate_expiry_timestamp_seconds", "When a certificate ends, in Unix time; 0 while there is none.", "name",
			func(list all) map[string]float64 {
				return byName(list, func(s certificate.Status) float64 {
					if s.Expires.IsZero() {
						return 0
					}
					return float64(s.Expires.Unix())
				})
			}),
		counters(role+"_certificate_failures_total", "Changed files that were not taken, and problems with the authority.", "name",
			func(list all) map[string]float64 {
				return byName(list, func(s certificate.Status) float64 { return float64(s.Failures) })
			}),
	)
}

// connectionMetrics are the connections of the door in numbers.
func connectionMetrics(c *coordinator.Coordinator) prometheus.Collector {
	return collect(c.Refused, counter("coordinator_connections_refused_total", "Connections closed at once, as there were too many, in all or of one address.",
		func(n uint64) uint64 { return n }))
}

// coordinatorMetrics are a coordinator in numbers, and what all workers have
// announced to it: each coordinator tells the same of them.
func coordinatorMetrics(c *coordinator.Coordinator) prometheus.Collector {
	type stats = coordinator.Stats
	return collect(c.Stats,
		gauges("coordinator_sockets", "WebSockets that are open, of pages and of roles (workers and gates).", "kind", func(s stats) map[string]int {
			return map[string]int{"page": s.Pages, "role": s.Roles}
		}),
		gauge("coordinator_sessions", "Sessions of pages, those that have lost their WebSocket a moment ago too.", func(s stats) int { return s.Sessions }),
		gauge("coordinator_queue_length", "Players that wait for a place here.", func(s stats) int { return s.Waiting }),
		gauges("coordinator_workers", "Workers that are connected, by state; silent ones have not been heard of for seconds.", "state",
			func(s stats) map[string]int { return s.Workers }),
		gauge("coordinator_gates", "Gates that are connected.", func(s stats) int { return s.Gates }),
		gauge("coordinator_relay_urls", "URLs by which pages find the gates of a cluster; 0 while those of connected gates are told.", func(s stats) int { return s.Relays }),
		gauge("coordinator_rooms", "Games that run, at all workers.", func(s stats) int { return s.Rooms }),
		gauges("coordinator_people", "Who is in rooms, at all workers.", "role", func(s stats) map[string]int {
			return map[string]int{"player": s.Players, "viewer": s.Viewers}
		}),
		gauge("coordinator_browsers", "Browsers at all workers, whichever coordinator connects them.", func(s stats) int { return s.Browsers }),
		gauge("coordinator_places", "Games at once, at all workers.", func(s stats) int { return s.Places }),
		gauge("coordinator_places_free", "Of them, those that are neither taken nor held.", func(s stats) int { return s.Free }),
		gauge("coordinator_libraries", "Different libraries of workers.", func(s stats) int { return s.Libraries }),
		gauge("coordinator_libraries_wanted", "Libraries that were announced and have not come yet.", func(s stats) int { return s.LibrariesWanted }),
		counter("coordinator_answers_late_total", "Answers of workers that nobody waited for any more.", func(s stats) uint64 { return s.LateAnswers }),
		counters("coordinator_refused_total", "What was refused to pages, roles and callers of the API, by cause.", "cause",
			func(s stats) map[string]uint64 { return s.Refused }),
		histogram("coordinator_grant_seconds", "From the wish for a game to its place, waiting included.", func(s stats) distribution { return durations(s.Grant) }),
		histogram("coordinator_signaling_seconds", "Until a worker answered.", func(s stats) distribution { return durations(s.Signaling) }),
	)
}

func durations(h coordinator.Histogram) distribution {
	d := distribution{counts: h.Counts, sum: h.Sum.Seconds()}
	for _, bound := range h.Bounds {
		d.bounds = append(d.bounds, bound.Seconds())
	}
	return d
}

func byName(list []certificate.Status, of func(certificate.Status) float64) map[string]float64 {
	values := map[string]float64{}
	for _, s := range list {
		values[s.Name] = of(s)
	}
	return values
}
