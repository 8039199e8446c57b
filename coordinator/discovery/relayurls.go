package discovery

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of what is made of a Service.
const (
	// maxNodes have their addresses told: a browser opens a relay at each URL that
	// it is told, and any node leads to all gates, or to its own.
	maxNodes = 3
	// maxRefused are named in a log line.
	maxRefused = 8
)

// relayPort is one port of a Service as browsers see it.
type relayPort struct {
	scheme, transport string
	protocol          corev1.Protocol
	port, nodePort    int32
}

// relayPorts are those of a Service that TURN may be spoken at: UDP is DTLS, and
// TCP is TLS, where its name or its application protocol says so.
func relayPorts(service *corev1.Service) []relayPort {
	var ports []relayPort
	for _, p := range service.Spec.Ports {
		one := relayPort{scheme: "turn", protocol: p.Protocol, port: p.Port, nodePort: p.NodePort}
		switch p.Protocol {
		case corev1.ProtocolUDP:
			one.transport = "udp"
		case corev1.ProtocolTCP, "":
			one.transport, one.protocol = "tcp", corev1.ProtocolTCP
		default:
			continue
		}
		said := p.Name
		if p.AppProtocol != nil {
			said += " " + *p.AppProtocol
		}
		if strings.Contains(strings.ToLower(said), "tls") {
			one.scheme = "turns"
		}
		ports = append(ports, one)
	}
	return ports
}

// url of a port, "" if that is none. Without a host it stands for the host by
// which the page was found.
func (p relayPort) url(host string, port int32) string {
	if port < 1 || port > 65535 {
		return ""
	}
	return p.scheme + ":" + net.JoinHostPort(host, strconv.Itoa(int(port))) + "?transport=" + p.transport
}

// relayURLs are where browsers find the gates of a Service, and what its status
// says that is no address. nodes is asked only where the addresses of nodes are
// needed.
func relayURLs(service *corev1.Service, nodes func() []netip.Addr) (urls, refused []string) {
	ports := relayPorts(service)
	urls, refused = balanced(service, ports)
	if len(urls) == 0 {
		for _, text := range service.Spec.ExternalIPs {
			urls = appendURLs(urls, hostOf(text, ""), ports, func(p relayPort) int32 { return p.port })
		}
	}
	nodePort := func(p relayPort) int32 { return p.nodePort }
	if len(urls) == 0 && slices.ContainsFunc(ports, func(p relayPort) bool { return p.nodePort > 0 }) {
		for _, p := range ports {
			urls = append(urls, p.url("", p.nodePort))
		}
		for _, ip := range nodes() {
			urls = appendURLs(urls, ip.String(), ports, nodePort)
		}
	}
	return bounded(urls), refused
}

// balanced are the URLs at a load balancer. A port with an error in the status
// has none there (core/v1 PortStatus).
func balanced(service *corev1.Service, ports []relayPort) (urls, refused []string) {
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		host := hostOf(ingress.IP, ingress.Hostname)
		if host == "" {
			if len(refused) < maxRefused {
				refused = append(refused, signal.Clip(ingress.IP+" "+ingress.Hostname))
			}
			continue
		}
		urls = appendURLs(urls, host, ports, func(p relayPort) int32 {
			for _, status := range ingress.Ports {
				if status.Port == p.port && status.Protocol == p.protocol && status.Error != nil {
					return 0
				}
			}
			return p.port
		})
	}
	return urls, refused
}

// hostOf is the address, or else the name, that a status says; "" if both are
// none.
func hostOf(ip, name string) string {
	if addr, err := netip.ParseAddr(ip); err == nil && usable(addr) {
		return addr.Unmap().String()
	}
	addr, err := netip.ParseAddr(name)
	if name = strings.TrimSuffix(name, "."); !signal.ValidHost(name) || err == nil && !usable(addr) {
		return ""
	}
	return name
}

// usable: the address of one host.
func usable(addr netip.Addr) bool {
	plain := addr.Unmap()
	return addr.Zone() == "" && !plain.IsUnspecified() && !plain.IsMulticast() && plain != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// appendURLs adds a host with each port, unless there is none or there are enough.
func appendURLs(urls []string, host string, ports []relayPort, number func(relayPort) int32) []string {
	if host == "" || len(urls) >= signal.MaxURLs {
		return urls
	}
	for _, p := range ports {
		urls = append(urls, p.url(host, number(p)))
	}
	return urls
}

// bounded leaves out what is empty, twice, or too much.
func bounded(urls []string) []string {
	var out []string
	for _, u := range urls {
		if u != "" && len(out) < signal.MaxURLs && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// host is a node with gates.
type host struct {
	node  string
	addrs []netip.Addr
}

// hostsOf are the nodes where pods of a Service run, by name, at most maxNodes,
// with the addresses that are of the families of the Service.
func hostsOf(service *corev1.Service, pods []*corev1.Pod) []host {
	var hosts []host
	for _, pod := range pods {
		ours := len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels))
		if !ours || pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		texts := []string{pod.Status.HostIP}
		for _, ip := range pod.Status.HostIPs {
			texts = append(texts, ip.IP)
		}
		h := host{node: pod.Spec.NodeName}
		for _, text := range texts {
			ip, err := netip.ParseAddr(text)
			if err == nil && usable(ip) && !slices.Contains(h.addrs, ip) && hasFamily(service, ip) {
				h.addrs = append(h.addrs, ip)
			}
		}
		if len(h.addrs) > 0 {
			hosts = append(hosts, h)
		}
	}
	slices.SortFunc(hosts, func(a, b host) int {
		return cmp.Or(cmp.Compare(a.node, b.node), slices.CompareFunc(a.addrs, b.addrs, netip.Addr.Compare))
	})
	hosts = slices.CompactFunc(hosts, func(a, b host) bool { return a.node == b.node })
	return hosts[:min(len(hosts), maxNodes)]
}

// hasFamily says whether a Service is served at addresses of a family; one that
// names none is at both.
func hasFamily(service *corev1.Service, ip netip.Addr) bool {
	family := corev1.IPv6Protocol
	if ip.Unmap().Is4() {
		family = corev1.IPv4Protocol
	}
	return len(service.Spec.IPFamilies) == 0 || slices.Contains(service.Spec.IPFamilies, family)
}

// externalOf are the external addresses of a node, one of each family at most.
func externalOf(node *corev1.Node) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range node.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		other := func(b netip.Addr) bool { return b.Is4() == ip.Unmap().Is4() }
		if a.Type == corev1.NodeExternalIP && err == nil && usable(ip) && !slices.ContainsFunc(addrs, other) {
			addrs = append(addrs, ip.Unmap())
		}
	}
	return addrs
}
