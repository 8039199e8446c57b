package peer

import (
	"net/netip"
	"slices"
	"testing"
)

func TestAddressesOfMedia(t *testing.T) {
	var got []netip.Addr
	for _, a := range []string{"127.0.0.1/8", "192.0.2.1/24", "fe80::1/64", "192.0.2.1/32", "::1/128", "224.0.0.1/4", "broken", "0.0.0.0/0"} {
		got = addAddr(got, a)
	}
	want := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: each once, without those of a link", got, want)
	}
	for i := range maxSockets {
		got = addAddr(got, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()+"/8")
	}
	if len(got) != maxSockets {
		t.Errorf("%d addresses, want at most %d", len(got), maxSockets)
	}
}
