package turn

import "net/netip"

// Why an address is refused, as clients and logs are told.
const (
	whyNoWorker  = "no worker"
	whyPort      = "another port"
	whyOwn       = "own address"
	whyEmbedded  = "embedded address"
	whyLoopback  = "loopback"
	whyLinkLocal = "link-local"
	whyMetadata  = "metadata"
	whyService   = "service network"
	whyMulticast = "multicast"
	whyReserved  = "reserved"
	whyPrivate   = "private"
)

// class is a range of addresses that a wide prefix must not open by mistake.
type class struct {
	prefix netip.Prefix
	why    string
}

// specialClasses are ranges that lead into this machine, to its host's services,
// to nobody or to everybody (RFC 6890). The services where clouds tell what a
// machine is, and its secrets, are link-local but for those of AWS and Google over
// IPv6, of Alibaba and of Azure.
func specialClasses() []class {
	return []class{
		{netip.MustParsePrefix("0.0.0.0/8"), whyReserved},
		{netip.MustParsePrefix("127.0.0.0/8"), whyLoopback},
		{netip.MustParsePrefix("169.254.0.0/16"), whyLinkLocal},
		{netip.MustParsePrefix("fd00:ec2::254/128"), whyMetadata},
		{netip.MustParsePrefix("fd20:ce::254/128"), whyMetadata},
		{netip.MustParsePrefix("100.100.100.200/32"), whyMetadata},
		{netip.MustParsePrefix("168.63.129.16/32"), whyMetadata},
		{netip.MustParsePrefix("192.0.0.0/24"), whyReserved},
		{netip.MustParsePrefix("224.0.0.0/4"), whyMulticast},
		{netip.MustParsePrefix("240.0.0.0/4"), whyReserved}, // the broadcast address too
		{netip.MustParsePrefix("::1/128"), whyLoopback},
		{netip.MustParsePrefix("::/128"), whyReserved},
		{netip.MustParsePrefix("fe80::/10"), whyLinkLocal},
		{netip.MustParsePrefix("ff00::/8"), whyMulticast},
		{netip.MustParsePrefix("100::/64"), whyReserved},
	}
}

// privateClasses are ranges of networks that are not the Internet's. A prefix
// opens those that it lies within, 10.0.0.0/8 the first, 0.0.0.0/0 none.
func privateClasses() []class {
	return []class{
		{netip.MustParsePrefix("10.0.0.0/8"), whyPrivate},
		{netip.MustParsePrefix("172.16.0.0/12"), whyPrivate},
		{netip.MustParsePrefix("192.168.0.0/16"), whyPrivate},
		{netip.MustParsePrefix("100.64.0.0/10"), whyPrivate}, // carrier-grade NAT, RFC 6598
		{netip.MustParsePrefix("198.18.0.0/15"), whyPrivate}, // benchmarks, RFC 2544
		{netip.MustParsePrefix("fc00::/7"), whyPrivate},
		{netip.MustParsePrefix("fec0::/10"), whyPrivate},
	}
}

// embeddingClasses are IPv6 forms that name an IPv4 address. They are refused
// whatever is listed: some router, or this machine's kernel, would make the
// IPv4 address of it that would itself be refused.
func embeddingClasses() []class {
	return []class{
		{netip.MustParsePrefix("::ffff:0:0/96"), whyEmbedded},   // mapped, RFC 4291 2.5.5.2
		{netip.MustParsePrefix("::/96"), whyEmbedded},           // compatible, RFC 4291 2.5.5.1
		{netip.MustParsePrefix("::ffff:0:0:0/96"), whyEmbedded}, // translated, RFC 2765
		{netip.MustParsePrefix("64:ff9b::/96"), whyEmbedded},    // NAT64, RFC 6052
		{netip.MustParsePrefix("64:ff9b:1::/48"), whyEmbedded},  // local NAT64, RFC 8215
		{netip.MustParsePrefix("2002::/16"), whyEmbedded},       // 6to4, RFC 3056
		{netip.MustParsePrefix("2001::/32"), whyEmbedded},       // Teredo, RFC 4380
	}
}

// classes are the tables in one place, made once.
type classes struct{ special, private, embedding []class }

func newClasses() classes { return classes{specialClasses(), privateClasses(), embeddingClasses()} }

// find is the class of list that addr is in.
func find(list []class, addr netip.Addr) (class, bool) {
	for _, c := range list {
		if c.prefix.Contains(addr) {
			return c, true
		}
	}
	return class{}, false
}

// never says why an address is refused even to a worker that announces it or
// a list that names it; "" if it is not. Loopback is not among them, nor are
// the unspecified and loopback IPv6 addresses taken for compatible ones.
func (c classes) never(addr netip.Addr) string {
	if addr.Is4In6() {
		return whyEmbedded
	}
	if in, ok := find(c.special, addr); ok {
		if in.why == whyLoopback {
			return ""
		}
		return in.why
	}
	if in, ok := find(c.embedding, addr); ok {
		return in.why
	}
	return ""
}

// closed says why a listed prefix does not open an address that it contains;
// "" if it does.
func (c classes) closed(prefix netip.Prefix, addr netip.Addr) string {
	if addr.Is4In6() { // which IsLoopback and the like look through
		return whyEmbedded
	}
	if in, ok := find(c.embedding, addr); ok && !addr.IsLoopback() && !addr.IsUnspecified() {
		return in.why
	}
	if prefix.IsSingleIP() {
		return ""
	}
	if in, ok := find(c.special, addr); ok {
		return in.why
	}
	if in, ok := find(c.private, addr); ok && !(in.prefix.Bits() <= prefix.Bits() && in.prefix.Contains(prefix.Addr())) {
		return in.why
	}
	return ""
}

// describe is the class of an address that nobody listed.
func (c classes) describe(addr netip.Addr) string {
	if addr.Is4In6() {
		return whyEmbedded
	}
	for _, list := range [][]class{c.special, c.private, c.embedding} {
		if in, ok := find(list, addr); ok {
			return in.why
		}
	}
	return whyNoWorker
}
