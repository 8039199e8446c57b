package batch

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/logging"
	rtppacket "github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

// browser makes a PeerConnection whose only socket is c.
func browser(t *testing.T, c *Conn) *webrtc.PeerConnection {
	t.Helper()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: quiet.NewLogger("ice")})
	settings := webrtc.SettingEngine{LoggerFactory: quiet}
	settings.SetICEUDPMux(mux)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	media := new(webrtc.MediaEngine)
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
		if err := mux.Close(); err != nil { // closes c
			t.Error(err)
		}
	})
	return pc
}

// describe gives each side the other's description, candidates included.
func describe(t *testing.T, caller, callee *webrtc.PeerConnection) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gathered := webrtc.GatheringCompletePromise(caller)
	offer, err := caller.CreateOffer(nil)
	must(err)
	must(caller.SetLocalDescription(offer))
	<-gathered
	must(callee.SetRemoteDescription(*caller.LocalDescription()))
	gathered = webrtc.GatheringCompletePromise(callee)
	answer, err := callee.CreateAnswer(nil)
	must(err)
	must(callee.SetLocalDescription(answer))
	<-gathered
	must(caller.SetRemoteDescription(*callee.LocalDescription()))
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("waited too long for", what)
		panic("not reached")
	}
}

// TestPionConnects makes a real connection through the sockets: ICE, DTLS, a data
// channel that echoes, and RTP that pion writes while its address is corked.
func TestPionConnects(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			server, client := listen(t, addr, Config{}), listen(t, addr, Config{})
			sender, viewer := browser(t, server), browser(t, client)
			track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "game")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sender.AddTrack(track); err != nil {
				t.Fatal(err)
			}
			channel, err := sender.CreateDataChannel("control", nil)
			if err != nil {
				t.Fatal(err)
			}
			opened, echoed, packets := make(chan bool, 1), make(chan []byte, 1), make(chan *rtppacket.Packet, 1000)
			channel.OnOpen(func() { opened <- true })
			channel.OnMessage(func(m webrtc.DataChannelMessage) { echoed <- m.Data })
			viewer.OnDataChannel(func(d *webrtc.DataChannel) {
				d.OnMessage(func(m webrtc.DataChannelMessage) { _ = d.Send(m.Data) })
			})
			viewer.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
				for {
					p, _, err := r.ReadRTP()
					if err != nil {
						return
					}
					packets <- p
				}
			})
			describe(t, sender, viewer)

			await(t, "the data channel", opened)
			text := bytes.Repeat([]byte("saved state"), 2000)
			if err := channel.Send(text); err != nil {
				t.Fatal(err)
			}
			if got := await(t, "the echo", echoed); !bytes.Equal(got, text) {
				t.Errorf("echo of %d bytes, want %d", len(got), len(text))
			}
			pair, err := sender.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
			if err != nil {
				t.Fatal(err)
			}
			to := netip.AddrPortFrom(netip.MustParseAddr(pair.Remote.Address), pair.Remote.Port)
			if to != client.AddrPort() {
				t.Errorf("connected to %v, want %v", to, client.AddrPort())
			}
			sendCorked(t, server, to, track, packets)
		})
	}
}

// sendCorked writes RTP of equal size in bursts and wants each packet to arrive
// whole, in few messages.
func sendCorked(t *testing.T, c *Conn, to netip.AddrPort, track *webrtc.TrackLocalStaticRTP, packets <-chan *rtppacket.Packet) {
	t.Helper()
	const bursts, size = 5, 20
	before := c.Stats()
	for b := range bursts {
		c.Cork(to)
		for i := range size {
			p := &rtppacket.Packet{
				Header:  rtppacket.Header{Version: 2, SequenceNumber: uint16(b*size + i)},
				Payload: slices.Repeat([]byte{byte(b*size + i)}, 1100),
			}
			if err := track.WriteRTP(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Uncork(to); err != nil {
			t.Fatal(err)
		}
		for i := range size {
			p := await(t, "RTP", packets)
			if want := byte(b*size + i); p.SequenceNumber != uint16(want) || !bytes.Equal(p.Payload, slices.Repeat([]byte{want}, 1100)) {
				t.Fatalf("packet %d: number %d, %d bytes", want, p.SequenceNumber, len(p.Payload))
			}
		}
	}
	after := c.Stats()
	// 17-32 datagrams a message is nobody else's.
	if got := after.Segments[5] - before.Segments[5]; after.Segmentation && got != bursts {
		t.Errorf("%d runs of %d datagrams left, want %d", got, size, bursts)
	}
}
