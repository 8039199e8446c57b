package batch

import (
	"net"
	"syscall"
	"testing"
)

// TestNothingAllocates runs each thing that happens per packet or per burst.
func TestNothingAllocates(t *testing.T) {
	for name, addr := range families(t) {
		c := listen(t, addr, Config{})
		plain := listen(t, addr, Config{})
		plain.stopSegmenting(syscall.EIO)
		refused := listen(t, addr, Config{Fault: func(int) error { return syscall.EMSGSIZE }})
		_, to := peer(t, addr)
		dst := net.UDPAddrFromAddrPort(to)
		packets, _ := burst(100, 1200, 7)
		media, buffer := rtp(1200, 1), make([]byte, 1500)
		w, pw, rw := c.NewWriter(), plain.NewWriter(), refused.NewWriter()
		steps := map[string]func(){
			"Flush segmented":   func() { w.Add(to, packets, 1200, 1); w.Flush() },
			"Flush unsegmented": func() { pw.Add(to, packets, 1200, 1); pw.Flush() },
			"Flush refused":     func() { rw.Add(to, packets, 1200, 1); rw.Flush() },
			"WriteTo":           func() { _, _ = c.WriteTo(media, dst) },
			"ReadFrom": func() {
				_, _ = c.WriteTo(media, c.LocalAddr())
				_, _, _ = c.ReadFrom(buffer)
			},
			"Cork": func() {
				c.Cork(to)
				for range 40 {
					_, _ = c.WriteTo(media, dst)
				}
				_ = c.Uncork(to)
			},
			"Stats": func() { _ = c.Stats() },
		}
		for step, f := range steps {
			t.Run(name+"/"+step, func(t *testing.T) {
				if n := testing.AllocsPerRun(100, f); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
		}
	}
}
