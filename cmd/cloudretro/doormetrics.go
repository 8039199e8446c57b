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

func byName(list []certificate.Status, of func(certificate.Status) float64) map[string]float64 {
	values := map[string]float64{}
	for _, s := range list {
		values[s.Name] = of(s)
	}
	return values
}
