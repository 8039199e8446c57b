//go:build linux

package main

import "strings"

// load is what one case puts through a server.
type load struct {
	name        string
	allocations int
	up          bool // from the client to its peer; else from the peer to the client
	burst       int  // packets back to back for one allocation
	offload     bool // the sender hands a burst over in one piece (UDP_SEGMENT)
	perSecond   int  // bursts for each allocation
	quick       bool // measured with -quick, too
}

// payload is the size of a relayed packet: a full RTP packet of video.
const payload = 1200 // bytes

// loads are the cases: a frame of 20 kB 60 times a second is video of 9 Mbit/s.
func loads() []load {
	return []load{
		{name: "burst to client, 20 allocations", allocations: 20, burst: 16, perSecond: 60, quick: true},
		{name: "burst to client, 100 allocations", allocations: 100, burst: 16, perSecond: 30},
		{name: "burst to client, sender with offload, 20 allocations", allocations: 20, burst: 16, offload: true, perSecond: 60, quick: true},
		{name: "burst to client, sender with offload, 100 allocations", allocations: 100, burst: 16, offload: true, perSecond: 30},
		{name: "single to client, 20 allocations", allocations: 20, burst: 1, perSecond: 500},
		{name: "single to client, 100 allocations", allocations: 100, burst: 1, perSecond: 200},
		{name: "single to worker, 20 allocations", allocations: 20, up: true, burst: 1, perSecond: 500, quick: true},
		{name: "single to worker, 100 allocations", allocations: 100, up: true, burst: 1, perSecond: 200},
		{name: "burst to worker, 20 allocations", allocations: 20, up: true, burst: 16, perSecond: 60},
	}
}

// chosen are the loads that the options ask for.
func chosen(o options) []load {
	var out []load
	for _, l := range loads() {
		if (!o.quick || l.quick) && strings.Contains(l.name, o.only) {
			out = append(out, l)
		}
	}
	return out
}
