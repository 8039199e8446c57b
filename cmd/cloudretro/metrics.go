package main

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsPrefix is what the names of all metrics begin with.
const metricsPrefix = "cloudretro_"

// snapshots is a prometheus.Collector over the plain snapshots that roles give
// of themselves: one is taken for each scrape, so that the numbers of an answer
// belong together. No package but this one knows of Prometheus.
type snapshots[S any] struct {
	take    func() S // called by any goroutine
	metrics []metric[S]
}

// metric is one family of a snapshot: its description and how it is read.
type metric[S any] struct {
	desc *prometheus.Desc
	read func(S, *prometheus.Desc, chan<- prometheus.Metric)
}

// collect makes the Collector of what take returns. Names lack metricsPrefix;
// those of counters end with _total.
func collect[S any](take func() S, metrics ...metric[S]) prometheus.Collector {
	return snapshots[S]{take, metrics}
}

// Describe implements prometheus.Collector.
func (s snapshots[S]) Describe(to chan<- *prometheus.Desc) {
	for _, m := range s.metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (s snapshots[S]) Collect(to chan<- prometheus.Metric) {
	now := s.take()
	for _, m := range s.metrics {
		m.read(now, m.desc, to)
	}
}

// number is a family of any numeric type.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// gauge is a number that goes up and down.
func gauge[S any, N number](name, help string, of func(S) N) metric[S] {
	return single(prometheus.GaugeValue, name, help, of)
}

// counter is a number that only grows.
func counter[S any, N number](name, help string, of func(S) N) metric[S] {
	return single(prometheus.CounterValue, name, help, of)
}

func single[S any, N number](kind prometheus.ValueType, name, help string, of func(S) N) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, nil, nil), func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		to <- prometheus.MustNewConstMetric(d, kind, float64(of(s)))
	}}
}

// gauges are numbers that go up and down, told apart by a label.
func gauges[S any, N number](name, help, label string, of func(S) map[string]N) metric[S] {
	return labelled(prometheus.GaugeValue, name, help, label, of)
}

// counters are numbers that only grow, told apart by a label.
func counters[S any, N number](name, help, label string, of func(S) map[string]N) metric[S] {
	return labelled(prometheus.CounterValue, name, help, label, of)
}

func labelled[S any, N number](kind prometheus.ValueType, name, help, label string, of func(S) map[string]N) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, []string{label}, nil), func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		for value, n := range of(s) {
			to <- prometheus.MustNewConstMetric(d, kind, float64(n), value)
		}
	}}
}

// distribution is a histogram: how many were at most each bound and above the one
// before it. Bounds rise; one more count than bounds are those above all of them.
type distribution struct {
	bounds []float64
	counts []uint64
	sum    float64
}

// histogram is a distribution of what happened so far.
func histogram[S any](name, help string, of func(S) distribution) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, nil, nil), func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		h := of(s)
		buckets, total := make(map[float64]uint64, len(h.bounds)), uint64(0)
		for i, n := range h.counts {
			total += n
			if i < len(h.bounds) {
				buckets[h.bounds[i]] = total
			}
		}
		to <- prometheus.MustNewConstHistogram(d, total, h.sum, buckets)
	}}
}

// newRegistry gathers what the roles and the Go runtime tell.
func newRegistry(roles []prometheus.Collector) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	ours := prometheus.WrapRegistererWithPrefix(metricsPrefix, registry)
	all := append([]prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, roles...)
	for _, c := range all {
		if err := ours.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// metricsHandler answers GET /metrics. Scrapes are few and small: two at once
// are enough, and nothing is compressed.
func metricsHandler(registry *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		DisableCompression: true, MaxRequestsInFlight: 2,
	})
}
