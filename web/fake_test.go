package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"
	"github.com/pion/webrtc/v3/pkg/media/h264reader"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/web"
)

var dirFS = os.DirFS(".")

// policy is stricter than the coordinator's may be: the page must live with it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; worker-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// fake is a coordinator and a worker in one, without games: it plays a short
// film to everyone and writes down what it is told.
type fake struct {
	*httptest.Server
	t    *testing.T
	film [][]byte
	road *road
	mux  ice.UDPMux

	mu       sync.Mutex
	games    []signal.Game
	refuse   *signal.Error // answers start and join
	resume   bool          // whether Resume is granted
	sockets  map[*websocket.Conn]bool
	peers    []*webrtc.PeerConnection
	controls []*webrtc.DataChannel
	inputs   [][]byte
	said     []string // types of messages, control messages as "control:seat"
	room     signal.Answer

	alternates []string       // of hello
	queue      *signal.Queued // answers a start without a ticket
	signIn     bool           // nobody may connect
	people     company
	zones      map[string]time.Duration // how far they are
}

// road is the one UDP socket of all media; while it is cut, nothing gets through.
type road struct {
	net.PacketConn
	cut atomic.Bool
}

func listen(t *testing.T) *road {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &road{PacketConn: conn}
}

func (r *road) WriteTo(b []byte, to net.Addr) (int, error) {
	if r.cut.Load() {
		return len(b), nil
	}
	return r.PacketConn.WriteTo(b, to)
}

func (r *road) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.PacketConn.ReadFrom(b)
		if err != nil || !r.cut.Load() {
			return n, from, err
		}
	}
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, film: readFilm(t), sockets: map[*websocket.Conn]bool{}, resume: true,
		games: []signal.Game{
			{ID: "quad", Title: "Quad", System: "nes", Players: 2},
			{ID: "test-card", Title: "Test card", System: "test", Players: 2},
		},
		room: signal.Answer{Room: strings.Repeat("a", 26), Game: "quad", Title: "Quad", System: "nes", Player: 1, Seats: 2},
	}
	f.road = listen(t)
	f.mux = webrtc.NewICEUDPMux(nil, f.road)
	f.Server = httptest.NewServer(f.handler())
	t.Cleanup(f.close)
	return f
}

// handler serves everything; a second one is another coordinator of the same site.
func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", f.socket)
	f.api(mux)
	mux.HandleFunc("/api/games", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = json.NewEncoder(w).Encode(f.games)
	})
	index := func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, web.Files(), "index.html") }
	mux.HandleFunc("/play/", index)
	mux.HandleFunc("/room/", index)
	mux.Handle("/", http.FileServerFS(web.Files()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		connect := "; connect-src 'self'"
		for _, a := range f.alternates {
			connect += " " + a + " ws" + strings.TrimPrefix(a, "http")
		}
		f.mu.Unlock()
		w.Header().Set("Content-Security-Policy", policy+connect)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// readFilm cuts testdata/film.h264 into access units.
func readFilm(t *testing.T) [][]byte {
	t.Helper()
	raw, err := fs.ReadFile(dirFS, "testdata/film.h264")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := h264reader.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var film [][]byte
	var unit []byte
	for {
		nal, err := reader.NextNAL()
		if err != nil {
			return film
		}
		unit = append(append(unit, 0, 0, 0, 1), nal.Data...)
		if nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr || nal.UnitType == h264reader.NalUnitTypeCodedSliceNonIdr {
			film, unit = append(film, unit), nil
		}
	}
}

func (f *fake) close() {
	f.mu.Lock()
	for _, peer := range f.peers {
		_ = peer.Close()
	}
	f.mu.Unlock()
	f.dropSockets()
	f.Server.Close()
	_ = f.mux.Close()
}

// dropSockets cuts every WebSocket, as a dying coordinator does.
func (f *fake) dropSockets() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.sockets {
		_ = conn.UnderlyingConn().Close()
	}
}

func (f *fake) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, what)
}

// heard says how often something was said.
func (f *fake) heard(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, one := range f.said {
		if one == what {
			n++
		}
	}
	return n
}

func (f *fake) lastInput() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inputs) == 0 {
		return nil
	}
	return f.inputs[len(f.inputs)-1]
}

func (f *fake) datagrams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.inputs)
}

// tell says something on every control channel.
func (f *fake) tell(message any) {
	text, err := json.Marshal(message)
	if err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, channel := range f.controls {
		_ = channel.SendText(string(text))
	}
}

// say sends a message to every WebSocket.
func (f *fake) say(kind signal.Type, data any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.sockets {
		_ = conn.WriteJSON(envelope(kind, "", data))
	}
}

func envelope(kind signal.Type, id string, data any) signal.Envelope {
	raw, _ := json.Marshal(data)
	return signal.Envelope{V: signal.Version, Type: kind, ID: id, Data: raw}
}

func (f *fake) socket(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	signIn := f.signIn
	f.mu.Unlock()
	if signIn {
		f.note("refused")
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	conn, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	f.mu.Lock()
	f.sockets[conn] = true
	hello := signal.Hello{Session: "s", Token: "t", ICEServers: []signal.ICEServer{}, Alternates: f.alternates}
	_ = conn.WriteJSON(envelope(signal.TypeHello, "", hello))
	f.mu.Unlock()
	f.note("connect")
	var peer *webrtc.PeerConnection
	for {
		var in signal.Envelope
		if err := conn.ReadJSON(&in); err != nil {
			break
		}
		f.note(string(in.Type))
		peer = f.handle(conn, peer, in)
	}
	f.mu.Lock()
	delete(f.sockets, conn)
	f.mu.Unlock()
}

// handle does what a message asks for and returns the connection it is about.
func (f *fake) handle(conn *websocket.Conn, peer *webrtc.PeerConnection, in signal.Envelope) *webrtc.PeerConnection {
	reply := func(kind signal.Type, data any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = conn.WriteJSON(envelope(kind, in.ID, data))
	}
	f.mu.Lock()
	refuse, resume, room, queue := f.refuse, f.resume, f.room, f.queue
	f.mu.Unlock()
	switch in.Type {
	case signal.TypeStart, signal.TypeJoin:
		if refuse != nil {
			reply(signal.TypeError, refuse)
			return nil
		}
		ask := f.asked(in)
		if queue != nil && ask.Ticket == "" && in.Type == signal.TypeStart {
			reply(signal.TypeQueued, queue)
			return nil
		}
		peer = f.connect()
		sdp, err := answerTo(peer, ask.SDP)
		if err != nil {
			f.t.Errorf("answer: %v", err)
		}
		room.SDP, room.Token = sdp, "token-"+room.Room
		reply(signal.TypeAnswer, room)
	case signal.TypeOffer:
		var offer signal.Offer
		_ = json.Unmarshal(in.Data, &offer)
		f.mu.Lock()
		peer = f.peers[len(f.peers)-1]
		f.mu.Unlock()
		sdp, err := answerTo(peer, offer.SDP)
		if err != nil {
			f.t.Errorf("answer: %v", err)
		}
		reply(signal.TypeAnswer, signal.Answer{SDP: sdp})
	case signal.TypeCandidate:
		var candidate webrtc.ICECandidateInit
		_ = json.Unmarshal(in.Data, &candidate)
		if peer != nil && candidate.Candidate != "" {
			_ = peer.AddICECandidate(candidate)
		}
	case signal.TypeResume:
		if !resume {
			reply(signal.TypeError, signal.Error{Code: signal.CodeNotFound, Message: "No such session."})
			return peer
		}
		reply(signal.TypeResumed, signal.Resumed{Session: "s", Token: "token-" + room.Room})
	case signal.TypeServers:
		reply(signal.TypeServers, signal.Servers{ICEServers: []signal.ICEServer{}})
	}
	return peer
}

// answerTo answers with all candidates in the description.
func answerTo(peer *webrtc.PeerConnection, sdp string) (string, error) {
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	answer, err := peer.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	if err := peer.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return peer.LocalDescription().SDP, nil
}

// connect makes a worker's side of a connection and starts the film.
func (f *fake) connect() *webrtc.PeerConnection {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEUDPMux(f.mux)
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		f.t.Error(err)
	}
	peer, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		f.t.Error(err)
		return nil
	}
	f.channels(peer)
	video, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "picture")
	f.add(peer, video, err)
	audio, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "sound")
	f.add(peer, audio, err)
	f.mu.Lock()
	f.peers = append(f.peers, peer)
	f.mu.Unlock()
	done := make(chan struct{})
	var film, end sync.Once // a restarted path does not start a second film; pion may say closed twice
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			f.note("connected")
			film.Do(func() { go f.play(video, audio, done) })
		}
		if state == webrtc.PeerConnectionStateClosed {
			end.Do(func() { close(done) })
		}
	})
	return peer
}

func (f *fake) add(peer *webrtc.PeerConnection, track webrtc.TrackLocal, err error) {
	if err == nil {
		_, err = peer.AddTrack(track)
	}
	if err != nil {
		f.t.Error(err)
	}
}

func (f *fake) channels(peer *webrtc.PeerConnection) {
	yes, no := true, false
	input, control := uint16(0), uint16(1)
	var never uint16
	in, err := peer.CreateDataChannel("input", &webrtc.DataChannelInit{Negotiated: &yes, ID: &input, Ordered: &no, MaxRetransmits: &never})
	if err != nil {
		f.t.Error(err)
		return
	}
	in.OnMessage(func(m webrtc.DataChannelMessage) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inputs = append(f.inputs, m.Data)
	})
	ctl, err := peer.CreateDataChannel("control", &webrtc.DataChannelInit{Negotiated: &yes, ID: &control})
	if err != nil {
		f.t.Error(err)
		return
	}
	ctl.OnOpen(func() {
		f.mu.Lock()
		f.controls = append(f.controls, ctl)
		f.mu.Unlock()
		if text, err := json.Marshal(f.people.message(f)); err == nil && len(f.people.Members) > 0 {
			_ = ctl.SendText(string(text))
		}
		_ = ctl.SendText(`{"type":"geometry","width":256,"height":240,"aspect":1.2190476,"rotation":0,"fps":60.0988}`)
	})
	ctl.OnMessage(func(m webrtc.DataChannelMessage) { f.control(ctl, m.Data) })
}

func (f *fake) control(channel *webrtc.DataChannel, data []byte) {
	var in struct {
		Type   string  `json:"type"`
		T      float64 `json:"t"`
		Player int     `json:"player"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		f.t.Errorf("control %q: %v", data, err)
	}
	f.note("control:" + in.Type)
	var out any
	switch in.Type {
	default:
		out = f.people.command(f, data)
	case "ping":
		out = map[string]any{"type": "pong", "t": in.T}
	case "save":
		out = map[string]any{"type": "saved", "at": time.Now().UnixMilli(), "by": "Guest 1", "member": "m1"}
	case "load":
		out = map[string]any{"type": "loaded", "by": "Guest 1", "member": "m1"}
	case "seat":
		out = map[string]any{"type": "room", "player": in.Player, "seats": 2, "players": 1, "viewers": 1}
	}
	if text, err := json.Marshal(out); err == nil && out != nil {
		_ = channel.SendText(string(text))
	}
}

// play loops the film at 30 pictures a second, with silence beside it.
func (f *fake) play(video, audio *webrtc.TrackLocalStaticSample, done <-chan struct{}) {
	const frame = time.Second / 30
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		err := errors.Join(
			video.WriteSample(media.Sample{Data: f.film[i%len(f.film)], Duration: frame}),
			audio.WriteSample(media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: frame}))
		if err != nil {
			return
		}
	}
}
