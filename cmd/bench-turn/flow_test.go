//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// freeAddr is an address where nobody listens, most likely.
func freeAddr(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().String()
}

// pionServer is the baseline, in this process.
func pionServer(t *testing.T) *server {
	t.Helper()
	s := &server{name: namePion, addr: freeAddr(t), user: username, pass: password}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- servePion(ctx, s.addr) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := s.ready(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFlowCounts(t *testing.T) {
	s := pionServer(t)
	for _, l := range []load{
		{name: "down", allocations: 2, burst: 4, perSecond: 50},
		{name: "down with offload", allocations: 2, burst: 4, offload: true, perSecond: 50},
		{name: "up", allocations: 2, up: true, burst: 1, perSecond: 50},
	} {
		t.Run(l.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			f, err := newFlow(ctx, s, l, false)
			if err != nil {
				t.Skipf("SKIPPED: raising socket buffers takes root: %v", err)
			}
			defer f.closeAll()
			ended := make(chan error, 1)
			go func() { ended <- f.run(ctx) }()
			for f.received.Load() < 40 {
				pause(ctx, time.Millisecond)
				select {
				case err := <-ended:
					t.Fatalf("ended early: %v", err)
				default:
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if f.sent.Load() < f.received.Load() {
				t.Errorf("received %d packets of %d sent", f.received.Load(), f.sent.Load())
			}
		})
	}
}

func TestRoundTrips(t *testing.T) {
	s := pionServer(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f, err := newFlow(ctx, s, load{allocations: 1, up: true, burst: 1, perSecond: 100}, true)
	if err != nil {
		t.Skipf("SKIPPED: raising socket buffers takes root: %v", err)
	}
	defer f.closeAll()
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	for f.received.Load() < 5 {
		pause(ctx, time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if low, high := f.percentile(0), f.percentile(1); low <= 0 || high < low {
		t.Errorf("round trips of %v to %v us", low, high)
	}
}

func TestWrongPasswordIsSaid(t *testing.T) {
	s := *pionServer(t)
	s.pass = "wrong"
	if _, err := open(&s); err == nil {
		t.Error("a wrong password opened an allocation")
	}
}

func TestBursts(t *testing.T) {
	for _, tt := range []struct {
		load     load
		messages int
		size     int
	}{
		{load{burst: 16}, 16, payload},
		{load{burst: 16, offload: true}, 1, payload},
		{load{burst: 1, up: true}, 1, payload + channelFrame},
	} {
		b := newBursts(tt.load)
		if len(b.batch) != tt.messages || len(b.packets) != tt.load.burst || len(b.packets[0]) != tt.size {
			t.Errorf("%+v: %d messages, %d packets of %d bytes", tt.load, len(b.batch), len(b.packets), len(b.packets[0]))
		}
		if tt.load.up && (binary.BigEndian.Uint16(b.packets[0]) != channel || binary.BigEndian.Uint16(b.packets[0][2:]) != payload) {
			t.Errorf("ChannelData begins with %x", b.packets[0][:4])
		}
	}
}

func TestChosen(t *testing.T) {
	if all := chosen(options{}); len(all) != len(loads()) {
		t.Errorf("%d cases without a choice, want all %d", len(all), len(loads()))
	}
	for _, l := range chosen(options{quick: true}) {
		if !l.quick {
			t.Errorf("%q is not quick", l.name)
		}
	}
	if some := chosen(options{only: "worker"}); len(some) == 0 || len(some) == len(loads()) {
		t.Errorf("%d cases are about the worker", len(some))
	}
}
