package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// gateMetrics are gates in numbers, all together.
func gateMetrics(gates ...func() turn.Stats) prometheus.Collector {
	sum := func() (s turn.Stats) {
		for _, stats := range gates {
			s = s.Plus(stats())
		}
		return s
	}
	families := []metric[turn.Stats]{
		gauge("turn_peers", "Addresses of workers that may be relayed to.", func(s turn.Stats) int { return s.Peers }),
		gauge("turn_draining", "1 while no new relay is opened.", func(s turn.Stats) int {
			if s.Draining {
				return 1
			}
			return 0
		}),
	}
	return collect(sum, append(families, listenerMetrics()...)...)
}

// listenerMetrics are told apart by the listener, and some by one thing more.
func listenerMetrics() []metric[turn.Stats] {
	return []metric[turn.Stats]{
		perListener(prometheus.GaugeValue, "turn_allocations", "Relays that are open.", one(func(l turn.ListenerStats) float64 { return float64(l.Relay.Allocations) })),
		perListener(prometheus.GaugeValue, "turn_streams", "Connections of TCP, TLS and DTLS.", one(func(l turn.ListenerStats) float64 { return float64(l.Relay.Streams) })),
		perListener(prometheus.CounterValue, "turn_opened_total", "Relays that were opened.", one(func(l turn.ListenerStats) float64 { return float64(l.Opened) })),
		perListener(prometheus.CounterValue, "turn_control_total", "Messages that are no data of a bound channel.", one(func(l turn.ListenerStats) float64 { return float64(l.Relay.Control) })),
		perListener(prometheus.CounterValue, "turn_overflow_total", "Packets that the kernel dropped, as a receive buffer was full.", one(func(l turn.ListenerStats) float64 { return float64(l.Relay.Overflow) })),
		perListener(prometheus.GaugeValue, "turn_gso", "1 where segmentation offload is in use.", one(func(l turn.ListenerStats) float64 { return truth(l.Relay.GSO) })),
		perListener(prometheus.GaugeValue, "turn_gro", "1 where receive offload is in use.", one(func(l turn.ListenerStats) float64 { return truth(l.Relay.GRO) })),
		perListener(prometheus.CounterValue, "turn_packets_total", "Packets relayed, up to a worker or down to a client.", each(func(l turn.ListenerStats) [relay.Directions]uint64 { return l.Relay.Packets }), "direction"),
		perListener(prometheus.CounterValue, "turn_bytes_total", "Payload relayed.", each(func(l turn.ListenerStats) [relay.Directions]uint64 { return l.Relay.Bytes }), "direction"),
		perListener(prometheus.CounterValue, "turn_sends_total", "System calls that packets were sent by; packets over sends is the segments of one.", each(func(l turn.ListenerStats) [relay.Directions]uint64 { return l.Relay.Sends }), "direction"),
		perListener(prometheus.CounterValue, "turn_dropped_total", "Packets not relayed.", drops, "cause"),
		perListener(prometheus.CounterValue, "turn_refused_total", "Requests refused.", refusals, "cause"),
	}
}

// perListener is a family with the labels protocol and listener, and those of extra.
func perListener(kind prometheus.ValueType, name, help string, of func(turn.ListenerStats) map[string]float64, extra ...string) metric[turn.Stats] {
	desc := prometheus.NewDesc(name, help, append([]string{"protocol", "listener"}, extra...), nil)
	return metric[turn.Stats]{desc, func(s turn.Stats, d *prometheus.Desc, to chan<- prometheus.Metric) {
		for _, l := range s.Listeners {
			for value, n := range of(l) {
				labels := []string{l.Protocol, l.Name}
				if len(extra) > 0 {
					labels = append(labels, value)
				}
				to <- prometheus.MustNewConstMetric(d, kind, n, labels...)
			}
		}
	}}
}

// one is a family without a further label.
func one(of func(turn.ListenerStats) float64) func(turn.ListenerStats) map[string]float64 {
	return func(l turn.ListenerStats) map[string]float64 { return map[string]float64{"": of(l)} }
}

// each is a family by direction.
func each(of func(turn.ListenerStats) [relay.Directions]uint64) func(turn.ListenerStats) map[string]float64 {
	return func(l turn.ListenerStats) map[string]float64 {
		values := map[string]float64{}
		for i, n := range of(l) {
			values[relay.Direction(i).String()] = float64(n)
		}
		return values
	}
}

func drops(l turn.ListenerStats) map[string]float64 {
	values := map[string]float64{}
	for i, n := range l.Relay.Dropped {
		values[relay.Drop(i).String()] = float64(n)
	}
	return values
}

func refusals(l turn.ListenerStats) map[string]float64 {
	values := map[string]float64{}
	for i, n := range l.Refused {
		if i > 0 { // 0 is none
			values[turn.Refusal(i).String()] = float64(n)
		}
	}
	return values
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
