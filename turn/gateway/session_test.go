package gateway_test

import (
	"encoding/base64"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	pionturn "github.com/pion/turn/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// reachable is an address of this machine that EndpointSlices may name.
func reachable(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Skip("SKIPPED: this machine has no address but loopback")
	return netip.Addr{}
}

// echo is a worker that sends back what it gets.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: reachable(t).AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// backend is a Service in a namespace with the workers as its endpoints.
func (w *world) backend(namespace, name string, workers ...netip.AddrPort) {
	w.t.Helper()
	_, err := clustertest.Clientset(w.Cluster).CoreV1().Services(namespace).Create(w.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "media", Protocol: corev1.ProtocolUDP, Port: 8443}}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i, worker := range workers {
		port, media, protocol := int32(worker.Port()), "media", corev1.ProtocolUDP
		_, err := clustertest.Clientset(w.Cluster).DiscoveryV1().EndpointSlices(namespace).Create(w.t.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name + "-" + strconv.Itoa(i), Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{worker.Addr().String()}}},
			Ports:       []discoveryv1.EndpointPort{{Name: &media, Protocol: &protocol, Port: &port}},
		}, metav1.CreateOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// session is an allocation of a real client.
type session struct {
	t     *testing.T
	relay net.PacketConn
}

// dial opens one at a port of pods with a credential minted of a secret.
func (w *world) dial(port uint16, secret string) (*session, error) {
	w.t.Helper()
	username, password, err := credential.Mint(secret, "abc", time.Hour, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp4", reachable(w.t).String()+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	address := net.JoinHostPort(reachable(w.t).String(), strconv.Itoa(int(port)))
	client, err := pionturn.NewClient(&pionturn.ClientConfig{TURNServerAddr: address, Conn: conn, Username: username, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { client.Close(); conn.Close() })
	if err := client.Listen(); err != nil {
		w.t.Fatal(err)
	}
	relay, err := client.Allocate()
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { relay.Close() })
	return &session{w.t, relay}, nil
}

// open is dial that has to work.
func (w *world) open(port uint16, secret string) *session {
	w.t.Helper()
	var s *session
	w.until("an allocation at port "+strconv.Itoa(int(port)), func() (ok bool) {
		var err error
		s, err = w.dial(port, secret)
		return err == nil
	})
	return s
}

// reaches says whether a worker answers through the relay.
func (s *session) reaches(worker netip.AddrPort) bool {
	s.t.Helper()
	if _, err := s.relay.WriteTo([]byte("frame"), net.UDPAddrFromAddrPort(worker)); err != nil {
		return false
	}
	if err := s.relay.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := s.relay.ReadFrom(buf)
	return err == nil && string(buf[:n]) == "frame" && from.String() == worker.String()
}

// permits says whether a packet may go somewhere, whoever is there.
func (s *session) permits(ip string) bool {
	_, err := s.relay.WriteTo([]byte("frame"), &net.UDPAddr{IP: net.ParseIP(ip), Port: 80})
	return err == nil
}

// end gives the relay back.
func (s *session) end() {
	s.t.Helper()
	if err := s.relay.Close(); err != nil {
		s.t.Error(err)
	}
}

// served says whether a port of pods answers over TCP.
func served(w *world, port uint16) error {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(reachable(w.t).String(), strconv.Itoa(int(port))), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// certificate makes a Secret with one of a host.
func (w *world) certificate(namespace, name, host string) {
	w.t.Helper()
	pair := certificatetest.New(w.t, host, time.Now().Add(time.Hour))
	w.make("secrets", `{apiVersion: v1, kind: Secret, metadata: {name: `+name+`, namespace: `+namespace+`}, type: kubernetes.io/tls,
  data: {tls.crt: `+base64.StdEncoding.EncodeToString(pair.Cert)+`, tls.key: `+base64.StdEncoding.EncodeToString(pair.Key)+`}}`)
}

// accepted is the reason of a Gateway's condition.
func (w *world) accepted(name string) string {
	w.t.Helper()
	g := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, name)
	if c := meta.FindStatusCondition(g.Status.Conditions, "Accepted"); c != nil {
		return c.Reason
	}
	return ""
}
