package batch

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestResolveAndDecode(t *testing.T) {
	device := loopbackDevice(t)
	tests := []struct {
		name   string
		family uint16
		to     string
		want   string // what decode says; empty = refused
	}{
		{"IPv4", unix.AF_INET, "192.0.2.7:8443", "192.0.2.7:8443"},
		{"4-in-6", unix.AF_INET, "[::ffff:192.0.2.7]:1", "192.0.2.7:1"},
		{"IPv4 on an IPv6 socket", unix.AF_INET6, "192.0.2.7:8443", ""},
		{"4-in-6 on an IPv6 socket", unix.AF_INET6, "[::ffff:192.0.2.7]:1", ""},
		{"IPv6", unix.AF_INET6, "[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{"IPv6 on an IPv4 socket", unix.AF_INET, "[2001:db8::1]:1", ""},
		{"zone by name", unix.AF_INET6, "[fe80::1%" + device.Name + "]:1", "[fe80::1%" + device.Name + "]:1"},
		{"zone by number", unix.AF_INET6, "[fe80::1%" + strconv.Itoa(device.Index) + "]:1", "[fe80::1%" + device.Name + "]:1"},
		{"zone by a number without a device", unix.AF_INET6, "[fe80::1%4000000]:1", "[fe80::1%4000000]:1"},
		{"zone without a device", unix.AF_INET6, "[fe80::1%nowhere]:1", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Conn{socket: socket{family: test.family}}
			var d destination
			err := c.resolve(&d, netip.MustParseAddrPort(test.to))
			if test.want == "" {
				if err == nil {
					t.Error("resolved")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, ok := decode(&d, &c.zones)
			if !ok || got != netip.MustParseAddrPort(test.want) {
				t.Errorf("decoded %v, %v", got, ok)
			}
		})
	}
}

// TestResolveIsWhatTheKernelTakes compares with what x/sys writes.
func TestResolveIsWhatTheKernelTakes(t *testing.T) {
	var d destination
	c := &Conn{socket: socket{family: unix.AF_INET}}
	if err := c.resolve(&d, netip.MustParseAddrPort("1.2.3.4:258")); err != nil {
		t.Fatal(err)
	}
	got := unsafe.Slice((*byte)(unsafe.Pointer(&d.raw)), d.size)
	want := []byte{0, 0, 1, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}
	*(*uint16)(unsafe.Pointer(&want[0])) = unix.AF_INET
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func loopbackDevice(t *testing.T) net.Interface {
	t.Helper()
	devices, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(devices, func(d net.Interface) bool { return d.Flags&net.FlagLoopback != 0 })
	if i < 0 {
		t.Skip("NOT TESTED: this machine has no loopback device")
	}
	return devices[i]
}

func TestZonesAreBounded(t *testing.T) {
	var z zones
	for i := range 10 * maxZones {
		scope := uint32(1<<30 + i)
		if got, want := z.name(scope), strconv.Itoa(int(scope)); got != want {
			t.Fatalf("scope %d is %q", scope, got)
		}
		if len(z.names) > maxZones || len(z.scopes) > maxZones {
			t.Fatalf("%d names, %d scopes", len(z.names), len(z.scopes))
		}
	}
}

// FuzzDecode reads what a kernel might write, and writes back what it read.
func FuzzDecode(f *testing.F) {
	for _, to := range []string{"127.0.0.1:80", "[2001:db8::1]:443", "[::ffff:1.2.3.4]:5", "[fe80::1%3]:9"} {
		var d destination
		a := netip.MustParseAddrPort(to)
		c := &Conn{socket: socket{family: unix.AF_INET6}}
		if a.Addr().Unmap().Is4() {
			c.family = unix.AF_INET
		}
		if err := c.resolve(&d, a); err != nil {
			f.Fatal(err)
		}
		f.Add(slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&d.raw)), d.size)), d.size)
	}
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{2, 0}, uint32(28))
	f.Fuzz(func(t *testing.T, raw []byte, size uint32) {
		d := destination{size: size}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&d.raw)), unsafe.Sizeof(d.raw)), raw)
		var z zones
		from, ok := decode(&d, &z)
		if !ok {
			if from.IsValid() {
				t.Fatalf("refused, but %v", from)
			}
			return
		}
		if !from.IsValid() || from.Addr().Is4In6() {
			t.Fatalf("decoded %v", from)
		}
		c := &Conn{socket: socket{family: unix.AF_INET6}}
		if from.Addr().Is4() {
			c.family = unix.AF_INET
		}
		var back destination
		if err := c.resolve(&back, from); err != nil {
			t.Fatal(err)
		}
		again, ok := decode(&back, &z)
		if !ok || again != from {
			t.Fatalf("%v, then %v", from, again)
		}
	})
}

// TestIcmpErrorsEndNothing reads on after a port that nobody listens on has
// been told of. The kernel tells unconnected sockets only when they ask
// (IP_RECVERR, ip(7)), so this one does.
func TestIcmpErrorsEndNothing(t *testing.T) {
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		t.Fatal(err)
	}
	gone, to := peer(t, netip.MustParseAddr("127.0.0.1"))
	_ = gone.Close()
	p, _ := peer(t, netip.MustParseAddr("127.0.0.1"))
	if _, err := c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteToUDPAddrPort([]byte("y"), c.AddrPort()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.ReadErrors != 1 {
		t.Errorf("%d errors counted, want %v", s.ReadErrors, syscall.ECONNREFUSED)
	}
}
