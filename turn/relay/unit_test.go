package relay

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	t.Parallel()
	table := newTable[channelKey, int]()
	key := func(i int) channelKey {
		return channelKey{endpoint{ip: [16]byte{15: byte(i)}, port: uint16(i)}, uint16(i >> 8)}
	}
	const n = 3 * tableBuckets // so that there are chains
	for i := range n {
		table.store(key(i), i+1)
	}
	for i := range n {
		if got := table.load(key(i)); got != i+1 {
			t.Fatalf("entry %d is %d", i, got)
		}
	}
	if got := table.load(channelKey{}); got != 1 {
		t.Errorf("the zero key is entry 0, not %d", got)
	}
	if got := table.load(channelKey{channel: 0xffff}); got != 0 {
		t.Errorf("what is not there is %d", got)
	}
	for i := range n {
		table.store(key(i), -i)
	}
	if table.len() != n {
		t.Errorf("%d entries after replacing all, want %d", table.len(), n)
	}
	table.remove(key(7), func(v int) bool { return v == 7 })
	if got := table.load(key(7)); got != -7 {
		t.Errorf("removed against the will of held: %d", got)
	}
	for i := range n {
		table.remove(key(i), func(v int) bool { return v == -i })
		if i%1000 == 0 && table.load(key(i)) != 0 {
			t.Errorf("entry %d is still there", i)
		}
	}
	table.remove(key(7), func(int) bool { return true })
	if table.len() != 0 {
		t.Errorf("%d entries are left", table.len())
	}
}

// TestTableRace reads what stays while its neighbours come and go.
func TestTableRace(t *testing.T) {
	t.Parallel()
	table := newTable[int, int]()
	table.buckets = table.buckets[:4]
	for i := range 8 {
		table.store(i, i+1)
	}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range 8 {
					if got := table.load(i); got != i+1 {
						t.Errorf("entry %d is %d", i, got)
						return
					}
				}
			}
		})
	}
	for range 2000 {
		for i := 8; i < 24; i++ {
			table.store(i, i)
		}
		for i := range 8 {
			table.store(i, i+1)
		}
		for i := 8; i < 24; i++ {
			table.remove(i, func(int) bool { return true })
		}
	}
	close(stop)
	group.Wait()
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in, unmapped string
		scope        uint32
		v4           bool
	}{
		{"192.0.2.1:5", "192.0.2.1:5", 0, true},
		{"[::ffff:192.0.2.1]:5", "192.0.2.1:5", 0, true},
		{"[2001:db8::1]:65535", "[2001:db8::1]:65535", 0, false},
		{"[fe80::1%7]:1", "[fe80::1]:1", 7, false},
		{"[fe80::1%nonsense]:1", "[fe80::1]:1", 0, false},
		{"[::]:0", "[::]:0", 0, false},
	} {
		a := netip.MustParseAddrPort(tc.in)
		e := endpointOf(a)
		if e.addrPort().String() != tc.unmapped || e.scope != tc.scope || e.is4() != tc.v4 {
			t.Errorf("%s: %+v, %v", tc.in, e, e.addrPort())
		}
		udp := e.udpAddr()
		if back, ok := endpointOfAddr(udp); !ok || back != e {
			t.Errorf("%s: by way of %v: %+v", tc.in, udp, back)
		}
		tcp := &net.TCPAddr{IP: udp.IP, Port: udp.Port, Zone: udp.Zone}
		if back, ok := endpointOfAddr(tcp); !ok || back != e {
			t.Errorf("%s: by way of TCP %v: %+v", tc.in, tcp, back)
		}
	}
	lo := endpointOf(netip.MustParseAddrPort("[fe80::1%lo]:1"))
	if ifi, err := net.InterfaceByName("lo"); err == nil && lo.scope != uint32(ifi.Index) {
		t.Errorf("zone lo is %d, want %d", lo.scope, ifi.Index)
	}
	for _, a := range []net.Addr{nil, &net.IPAddr{}, &net.UDPAddr{}, &net.TCPAddr{IP: net.IP{1, 2, 3}}} {
		if e, ok := endpointOfAddr(a); ok {
			t.Errorf("%v is %+v", a, e)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	var unbound bucket
	for range 1000 {
		if !unbound.take(1<<30, 0) {
			t.Fatal("no bound has a bound")
		}
	}
	for _, rate := range []int64{1, 1000, 125_000, 1 << 40} {
		var b bucket
		b.limit(rate)
		const n = 100
		passed := 0
		start, end := int64(time.Hour), int64(time.Hour+10*time.Second)
		for now := start; now < end; now += int64(time.Millisecond) {
			if b.take(n, now) {
				passed++
			}
		}
		offered := 10_000
		want := min(offered, int(rate*10/n)+int(float64(rate)*bucketDepth.Seconds()/n))
		if passed < want-1 || passed > want+2 {
			t.Errorf("%d bytes per second: %d of %d passed, want %d", rate, passed, offered, want)
		}
	}
}

// TestBucketShared has many take from one bucket at the same time.
func TestBucketShared(t *testing.T) {
	t.Parallel()
	var b bucket
	b.limit(1_000_000)
	var group sync.WaitGroup
	passed := make([]int, 4)
	for i := range passed {
		group.Go(func() {
			for range 1000 {
				if b.take(1000, 1) {
					passed[i]++
				}
			}
		})
	}
	group.Wait()
	if sum := passed[0] + passed[1] + passed[2] + passed[3]; sum != 250 {
		t.Errorf("%d passed, want 250", sum)
	}
}

func newBinding(admission Admission) *binding {
	l := &Listener{relay: &Relay{cfg: Config{Admission: admission}}}
	return &binding{allocation: &Allocation{listener: l}}
}

func TestBindingLife(t *testing.T) {
	t.Parallel()
	b := newBinding(&admission{})
	if b.live(1) {
		t.Error("a binding that was never refreshed is live")
	}
	b.refresh(1)
	for _, tc := range []struct {
		at            time.Duration
		live, expired bool
	}{
		{0, true, false},
		{permissionLifetime - 1, true, false},
		{permissionLifetime, false, false},
		{channelLifetime - 1, false, false},
		{channelLifetime, false, true},
	} {
		now := 1 + int64(tc.at)
		if b.live(now) != tc.live || b.expired(now) != tc.expired {
			t.Errorf("after %v: live %v, expired %v", tc.at, b.live(now), b.expired(now))
		}
	}
	b.permit(1 + int64(permissionLifetime))
	if !b.live(1+int64(permissionLifetime)) || b.live(1+int64(channelLifetime)) {
		t.Error("a permission is refreshed on its own")
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	adm := &admission{}
	b := newBinding(adm)
	peer := b.peer.addrPort()
	ask := func(now time.Duration, allowed bool, asked int) {
		t.Helper()
		if got := b.admitted(int64(now)); got != allowed {
			t.Errorf("at %v: %v", now, got)
		}
		if adm.questions() != asked {
			t.Errorf("at %v: asked %d times, want %d", now, adm.questions(), asked)
		}
	}
	ask(time.Millisecond, true, 1)
	ask(time.Second, true, 1)
	ask(time.Millisecond+verdictLife, true, 2)
	adm.refuse(peer, true)
	ask(time.Millisecond+verdictLife, false, 3)
	ask(2*time.Millisecond+verdictLife, false, 3)
	adm.mu.Lock()
	adm.refused[peer] = false // without a new generation, as time does it
	adm.mu.Unlock()
	ask(3*time.Millisecond+verdictLife, false, 3)
	ask(2*time.Hour, true, 4)
	adm.generation.Store(1 << 40) // only low bits are kept
	ask(2*time.Hour, true, 5)
	ask(2*time.Hour, true, 5)
}

func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for d := range Drops {
		if seen[d.String()] || d.String() == "?" || d.String() == "" {
			t.Errorf("drop %d is called %q", d, d)
		}
		seen[d.String()] = true
	}
	if (Drops+5).String() != "?" || Up.String() != "up" || Down.String() != "down" {
		t.Error("names")
	}
}

func TestMessageDatagrams(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ size, segment, count, last int }{
		{1, 1, 1, 1}, {1200, 1200, 1, 1200}, {2400, 1200, 2, 1200}, {2401, 1200, 3, 1}, {5, 1200, 1, 5}, {64, 1, 64, 1},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			m := message{raw: make([]byte, channelHeader+tc.size), segment: tc.segment}
			for i := range m.raw {
				m.raw[i] = byte(i)
			}
			count, at := 0, 0
			for packet, roomy := range m.datagrams() {
				if roomy != (count == 0) || packet[channelHeader] != m.raw[channelHeader+at] {
					t.Errorf("datagram %d: roomy %v", count, roomy)
				}
				count++
				at += len(packet) - channelHeader
				if count == tc.count && len(packet)-channelHeader != tc.last {
					t.Errorf("the last one has %d bytes", len(packet)-channelHeader)
				}
			}
			if count != tc.count || at != tc.size || m.count() != count {
				t.Errorf("%d datagrams, %d bytes, count says %d", count, at, m.count())
			}
		})
	}
	for range (message{raw: make([]byte, 400), segment: 10}).datagrams() {
		break // must not go on
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	a, b := &Allocation{}, &Allocation{}
	first := parcel{to: endpoint{port: 1}, channel: 0x4000, packet: make([]byte, 100), allocation: a, direction: Down}
	change := func(f func(*parcel)) parcel {
		p := first
		f(&p)
		return p
	}
	for name, tc := range map[string]struct {
		next parcel
		ok   bool
	}{
		"same":              {first, true},
		"shorter":           {change(func(p *parcel) { p.packet = p.packet[:50] }), true},
		"longer":            {change(func(p *parcel) { p.packet = make([]byte, 101) }), false},
		"other client":      {change(func(p *parcel) { p.to.port = 2 }), false},
		"other allocation":  {change(func(p *parcel) { p.allocation = b }), false},
		"other direction":   {change(func(p *parcel) { p.direction = Up }), false},
		"other channel":     {change(func(p *parcel) { p.channel = 0x4001 }), true},
		"bare of 4 more":    {change(func(p *parcel) { p.channel, p.packet = 0, make([]byte, 104) }), true},
		"bare of same size": {change(func(p *parcel) { p.channel = 0 }), true},
	} {
		var r run
		r.start(&first)
		if r.join(&tc.next) != tc.ok {
			t.Errorf("%s: %v, want %v", name, !tc.ok, tc.ok)
		}
		if tc.ok && (r.count != 2 || r.bytes != 100+tc.next.size() || r.payload() != r.bytes-8) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	var r run
	r.start(&first)
	short := change(func(p *parcel) { p.packet = p.packet[:50] })
	if !r.join(&short) || r.join(&short) || r.join(&first) {
		t.Error("something came after a shorter one")
	}
	r.start(&first)
	for r.join(&first) {
	}
	if r.count != maxSegments {
		t.Errorf("%d datagrams in a run", r.count)
	}
	large := change(func(p *parcel) { p.packet = make([]byte, 9000) })
	r.start(&large)
	for r.join(&large) {
	}
	if r.bytes > maxRun || r.bytes+9000 <= maxRun {
		t.Errorf("%d bytes in a run", r.bytes)
	}
	empty := parcel{packet: make([]byte, channelHeader), allocation: a}
	r.start(&empty)
	if r.join(&empty) {
		t.Error("empty datagrams cannot be segments")
	}
}
