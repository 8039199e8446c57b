package turn

import (
	"net"
	"testing"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/turn/credential"
)

// A browser that may only relay, and a worker with one socket at one address, as
// workers have one for each: where one stands for many, pion takes a check that
// came to one of them for another's, and a nomination may be lost.
func TestRelayedPeerConnection(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", ":0"} {
		t.Run(listen, func(t *testing.T) {
			conn := socket(t, "127.0.0.1:0")
			port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
			g := start(t, func(c *Config) {
				c.Listeners[0].Address = listen
				c.Peers = []Peer{peerOf(conn)}
			})
			worker := workerConnection(t, conn)
			browser := browserConnection(t, g)
			connect(t, browser, worker)
			pair, err := browser.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
			if err != nil {
				t.Fatal(err)
			}
			if pair.Local.Typ != webrtc.ICECandidateTypeRelay || pair.Remote.Port != port {
				t.Errorf("the selected pair is %v", pair)
			}
			if n := g.Stats().Allocations; n == 0 {
				t.Error("the gate has no allocation")
			}
		})
	}
}

func connection(t *testing.T, engine webrtc.SettingEngine, cfg webrtc.Configuration) *webrtc.PeerConnection {
	t.Helper()
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.Close(); err != nil {
			t.Errorf("close peer connection: %v", err)
		}
	})
	return pc
}

func workerConnection(t *testing.T, socket *net.UDPConn) *webrtc.PeerConnection {
	t.Helper()
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket})
	t.Cleanup(func() { mux.Close() })
	var engine webrtc.SettingEngine
	engine.SetICEUDPMux(mux)
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return connection(t, engine, webrtc.Configuration{})
}

func browserConnection(t *testing.T, g gate) *webrtc.PeerConnection {
	t.Helper()
	_, port, err := net.SplitHostPort(g.address())
	if err != nil {
		t.Fatal(err)
	}
	username, password, err := credential.Mint(secret, "abc", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return connection(t, webrtc.SettingEngine{}, webrtc.Configuration{
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
		ICEServers: []webrtc.ICEServer{{
			URLs: []string{"turn:127.0.0.1:" + port + "?transport=udp"}, Username: username, Credential: password,
		}},
	})
}

// connect opens a data channel between the two and sends over it.
func connect(t *testing.T, browser, worker *webrtc.PeerConnection) {
	t.Helper()
	arrived := make(chan string, 1)
	worker.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnMessage(func(m webrtc.DataChannelMessage) { arrived <- string(m.Data) })
	})
	channel, err := browser.CreateDataChannel("input", nil)
	if err != nil {
		t.Fatal(err)
	}
	channel.OnOpen(func() {
		if err := channel.SendText("press"); err != nil {
			t.Errorf("send: %v", err)
		}
	})
	offer, err := browser.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	described(t, browser, worker, offer)
	answer, err := worker.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	described(t, worker, browser, answer)
	select {
	case text := <-arrived:
		if text != "press" {
			t.Errorf("%q arrived", text)
		}
	case <-time.After(patient):
		t.Fatal("nothing arrived")
	}
}

// described sets a description at both ends, with all its candidates.
func described(t *testing.T, from, to *webrtc.PeerConnection, d webrtc.SessionDescription) {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(from)
	if err := from.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := to.SetRemoteDescription(*from.LocalDescription()); err != nil {
		t.Fatal(err)
	}
}
