package coordinator

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// idlePages is how many pages are opened to weigh one.
const idlePages = 2_000

// visitor is the least that a page can be for its other end: a connection that
// was greeted and says nothing.
func visitor(address string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nUser-Agent: %s\r\nAccept-Language: en-US,en;q=0.5\r\n\r\n",
		address, "dGhlIHNhbXBsZSBub25jZQ==", strings.Repeat("Mozilla/5.0 ", 10))
	if err != nil {
		return conn, err
	}
	r := bufio.NewReaderSize(conn, 512)
	for line := ""; line != "\r\n"; { // the answer's header
		if line, err = r.ReadString('\n'); err != nil {
			return conn, err
		}
	}
	head := make([]byte, 4) // of the greeting, which is over 125 bytes
	if _, err := io.ReadFull(r, head); err != nil {
		return conn, err
	}
	_, err = io.CopyN(io.Discard, r, int64(head[2])<<8|int64(head[3]))
	return conn, err
}

// weight is the memory that is in use.
func weight() (bytes, stacks uint64, goroutines int) {
	runtime.GC()
	runtime.GC() // what pools held is let go with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse, m.StackInuse, runtime.NumGoroutine()
}

// BenchmarkIdlePage weighs a page that does nothing, with its TCP connection at
// both ends.
func BenchmarkIdlePage(b *testing.B) {
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	for b.Loop() {
		b.StopTimer()
		bytes, stacks, goroutines := weight()
		b.StartTimer()
		conns := make([]net.Conn, idlePages)
		for i := range conns {
			if conns[i], err = visitor(c.Addr().String()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		moreBytes, moreStacks, moreGoroutines := weight()
		b.ReportMetric(float64(moreBytes-bytes)/idlePages, "B/page")
		b.ReportMetric(float64(moreStacks-stacks)/idlePages, "stack-B/page")
		b.ReportMetric(float64(moreGoroutines-goroutines)/idlePages, "goroutines/page")
		for _, conn := range conns {
			conn.Close()
		}
		for c.pages.open.Load() > 0 {
			runtime.Gosched()
		}
		b.StartTimer()
	}
}
