package signal

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	room  = "abcdefghijklmnopqrstuvwxyz"
	hexes = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// validator is a message that can check itself.
type validator interface{ Validate() error }

// verdict is a message and whether it is to be accepted.
type verdict struct {
	in validator
	ok bool
}

func text(n int) string { return strings.Repeat("x", n) }

func ptr[T any](v T) *T { return &v }

func TestPayloadsFromBrowsers(t *testing.T) {
	tests := map[string]verdict{
		"start":                {Start{Game: "pong", SDP: "v=0"}, true},
		"start with host":      {Start{Game: "pong", SDP: "v=0", Host: "play.example.org"}, true},
		"game with slashes":    {Start{Game: "a/b", SDP: "v=0"}, false},
		"game going up":        {Start{Game: "..", SDP: "v=0"}, false},
		"game in capitals":     {Start{Game: "Pong", SDP: "v=0"}, false},
		"game too long":        {Start{Game: text(65), SDP: "v=0"}, false},
		"no game":              {Start{SDP: "v=0"}, false},
		"a place alone":        {Start{Game: "pong"}, true},
		"start with a ticket":  {Start{Game: "pong", SDP: "v=0", Ticket: "t"}, true},
		"bad ticket":           {Start{Game: "pong", SDP: "v=0", Ticket: "../t"}, false},
		"start in a zone":      {Start{Game: "pong", Zone: "eu", Latencies: map[string]int{"eu": 0, "us": maxLatency}}, true},
		"long zone":            {Start{Game: "pong", Zone: text(65)}, false},
		"zone of 2 lines":      {Start{Game: "pong", Zone: "a\nb"}, false},
		"before it was sent":   {Start{Game: "pong", Latencies: map[string]int{"eu": -1}}, false},
		"too far":              {Start{Game: "pong", Latencies: map[string]int{"eu": maxLatency + 1}}, false},
		"long zone measured":   {Start{Game: "pong", Latencies: map[string]int{text(65): 1}}, false},
		"many zones":           {Start{Game: "pong", Latencies: zones(MaxZones)}, true},
		"too many zones":       {Start{Game: "pong", Latencies: zones(MaxZones + 1)}, false},
		"start by a player":    {Start{Game: "pong", User: &User{ID: "u", Name: "U", Role: RolePlayer}}, true},
		"start by a king":      {Start{Game: "pong", User: &User{ID: "u", Name: "U", Role: "king"}}, false},
		"invited":              {Join{Room: room, SDP: "v=0", Invite: text(MaxToken)}, true},
		"long invitation":      {Join{Room: room, SDP: "v=0", Invite: text(MaxToken + 1)}, false},
		"back again":           {Join{Room: room, SDP: "v=0", Token: text(MaxToken), Replaces: "s"}, true},
		"long token to join":   {Join{Room: room, SDP: "v=0", Token: text(MaxToken + 1)}, false},
		"replaces a path":      {Join{Room: room, SDP: "v=0", Replaces: "../s"}, false},
		"join by nobody":       {Join{Room: room, SDP: "v=0", User: &User{}}, false},
		"join without sdp":     {Join{Room: room}, false},
		"sdp at the limit":     {Start{Game: "pong", SDP: text(MaxSDP)}, true},
		"sdp too long":         {Start{Game: "pong", SDP: text(MaxSDP + 1)}, false},
		"sdp with NUL":         {Start{Game: "pong", SDP: "v=0\x00"}, false},
		"host with a path":     {Start{Game: "pong", SDP: "v=0", Host: "a/b"}, false},
		"join":                 {Join{Room: room, SDP: "v=0"}, true},
		"join as the last":     {Join{Room: room, Player: MaxPlayers, SDP: "v=0"}, true},
		"player 99":            {Join{Room: room, Player: 99, SDP: "v=0"}, false},
		"player -1":            {Join{Room: room, Player: -1, SDP: "v=0"}, false},
		"room going up":        {Join{Room: "../../x", SDP: "v=0"}, false},
		"room in capitals":     {Join{Room: strings.ToUpper(room), SDP: "v=0"}, false},
		"offer":                {Offer{SDP: "v=0"}, true},
		"empty offer":          {Offer{}, false},
		"start with sha1":      {Start{Game: "pong", SDP: "v=0", SRTP: SRTPSHA1}, true},
		"join with sha1":       {Join{Room: room, SDP: "v=0", SRTP: SRTPSHA1}, true},
		"offer with sha1":      {Offer{SDP: "v=0", SRTP: SRTPSHA1}, true},
		"start with null":      {Start{Game: "pong", SDP: "v=0", SRTP: "null"}, false},
		"join with SHA1":       {Join{Room: room, SDP: "v=0", SRTP: "SHA1"}, false},
		"offer with a space":   {Offer{SDP: "v=0", SRTP: "sha1 "}, false},
		"candidate":            {Candidate{Candidate: "candidate:1", SDPMid: ptr("0"), SDPMLineIndex: ptr(uint16(0))}, true},
		"end of candidates":    {Candidate{}, true},
		"long candidate":       {Candidate{Candidate: text(MaxCandidate + 1)}, false},
		"candidate of 2 lines": {Candidate{Candidate: "a\r\nb"}, false},
		"long mid":             {Candidate{SDPMid: ptr(text(65))}, false},
		"resume":               {Resume{Token: "abc"}, true},
		"long token":           {Resume{Token: text(MaxToken + 1)}, false},
	}
	check(t, tests)
}

func check(t *testing.T, tests map[string]verdict) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := test.in.Validate(); (err == nil) != test.ok {
				t.Errorf("Validate = %v, want ok = %v", err, test.ok)
			}
		})
	}
}

func TestPayloadsBetweenRoles(t *testing.T) {
	answer := func(change func(*Answer)) Answer {
		a := Answer{SDP: "v=0", Room: room, Game: "pong", Title: "Pong", System: "nes", Player: 1, Seats: 2}
		change(&a)
		return a
	}
	register := func(change func(*Register)) Register {
		r := Register{ID: "w", Name: "one", MAC: hexes, MediaAddrs: []string{"127.0.0.1:8443", "[2001:db8::1]:8443"}, Library: hexes, Load: Load{State: StateReady, Places: 4}}
		change(&r)
		return r
	}
	addr := func(s string) Register { return register(func(r *Register) { r.MediaAddrs = []string{s} }) }
	tests := map[string]verdict{
		"answer":               {answer(func(*Answer) {}), true},
		"viewer":               {answer(func(a *Answer) { a.Player = 0 }), true},
		"no seats":             {answer(func(a *Answer) { a.Player, a.Seats = 0, 0 }), true},
		"seat beyond the game": {answer(func(a *Answer) { a.Player = 3 }), false},
		"too many seats":       {answer(func(a *Answer) { a.Seats = MaxPlayers + 1 }), false},
		"bad room":             {answer(func(a *Answer) { a.Room = "x" }), false},
		"bad game":             {answer(func(a *Answer) { a.Game = "a/b" }), false},
		"title with newline":   {answer(func(a *Answer) { a.Title = "a\nb" }), false},
		"register":             {register(func(*Register) {}), true},
		"bad id":               {register(func(r *Register) { r.ID = "A B" }), false},
		"short mac":            {register(func(r *Register) { r.MAC = "00" }), false},
		"no hex":               {register(func(r *Register) { r.MAC = text(64) }), false},
		"places below zero":    {register(func(r *Register) { r.Load.Places = -1 }), false},
		"no state":             {register(func(r *Register) { r.Load.State = "" }), false},
		"no library":           {register(func(r *Register) { r.Library = "" }), false},
		"long zone":            {register(func(r *Register) { r.Zone = text(65) }), false},
		"probe":                {register(func(r *Register) { r.Probe = "https://eu.example.org/echo" }), true},
		"bad probe":            {register(func(r *Register) { r.Probe = "javascript:alert(1)" }), false},
		"bad room in it":       {register(func(r *Register) { r.Rooms = []Room{{ID: "/"}} }), false},
		"many addresses":       {register(func(r *Register) { r.MediaAddrs = make([]string, MaxMediaAddrs+1) }), false},
		"address of all":       {addr("0.0.0.0:8443"), false},
		"no port":              {addr("10.0.0.1:0"), false},
		"multicast":            {addr("224.0.0.1:1"), false},
		"multicast in v6":      {addr("[::ffff:224.0.0.1]:1"), false},
		"of all in v6":         {addr("[::ffff:0.0.0.0]:1"), false},
		"broadcast":            {addr("255.255.255.255:1"), false},
		"v4 in v6":             {addr("[::ffff:10.0.0.1]:1"), true},
		"zone":                 {addr("[fe80::1%eth0]:1"), false},
		"host name":            {addr("localhost:1"), false},
		"challenge":            {Challenge{Nonce: hexes, Coordinator: "c"}, true},
		"challenge of nobody":  {Challenge{Nonce: hexes}, false},
		"short nonce":          {Challenge{Nonce: "00", Coordinator: "c"}, false},
		"accepted":             {Accepted{Library: true}, true},
		"ready":                {Load{StateReady, 4, 4, MaxSessions, 1000}, true},
		"draining":             {Load{State: StateDraining}, true},
		"overloaded":           {Load{State: StateOverloaded}, true},
		"more free than there": {Load{StateReady, 4, 5, 0, 0}, false},
		"free below zero":      {Load{StateReady, 4, -1, 0, 0}, false},
		"many places":          {Load{StateReady, MaxRooms + 1, 0, 0, 0}, false},
		"many sessions":        {Load{StateReady, 4, 4, MaxSessions + 1, 0}, false},
		"later than all":       {Load{StateReady, 4, 4, 0, 1001}, false},
		"rooms":                {Rooms{Rooms: []Room{{ID: room, Game: "a", Players: 1, Viewers: 3, Seats: 2, Closed: true, Since: 1}}}, true},
		"before all time":      {Rooms{Rooms: []Room{{ID: room, Game: "a", Since: -1}}}, false},
		"nine seats":           {Rooms{Rooms: []Room{{ID: room, Game: "a", Seats: 9}}}, false},
		"viewers below zero":   {Rooms{Rooms: []Room{{ID: room, Game: "a", Viewers: -1}}}, false},
		"long rooms":           {Rooms{Rooms: make([]Room, MaxRooms+1)}, false},
		"peers":                {Peers{Addrs: []string{"10.0.0.1:8443"}}, true},
		"bad peer":             {Peers{Addrs: []string{"10.0.0.1"}}, false},
		"long peers":           {Peers{Addrs: make([]string, MaxPeers+1)}, false},
		"closed":               {Closed{Reason: "the room ended"}, true},
		"closed by the host":   {Closed{Reason: "removed", Code: CodeRemoved}, true},
		"closed by a path":     {Closed{Code: "../x"}, false},
		"long reason":          {Closed{Reason: text(MaxText + 1)}, false},
		"error":                {Errorf(CodeFull, "no seat"), true},
		"newer error":          {&Error{Code: "new-code"}, true},
		"error without code":   {&Error{}, false},
		"resumed":              {Resumed{Session: "s", Token: "t"}, true},
		"resumed nothing":      {Resumed{}, false},
		"hello":                {Hello{Session: "s", ICEServers: []ICEServer{{URLs: []string{"stun:a"}}}}, true},
		"hello to a user":      {Hello{Session: "s", User: &User{ID: "u", Role: RoleAdmin}, Alternates: []string{"https://b.example.org"}}, true},
		"hello to a bad user":  {Hello{Session: "s", User: &User{ID: "U"}}, false},
		"bad alternate":        {Hello{Session: "s", Alternates: []string{"a\nb"}}, false},
		"many alternates":      {Hello{Session: "s", Alternates: make([]string, MaxURLs+1)}, false},
		"servers":              {Servers{ICEServers: []ICEServer{{URLs: []string{"stun:a"}}}}, true},
		"many servers":         {Servers{ICEServers: make([]ICEServer, MaxICEServers+1)}, false},
		"hello to nobody":      {Hello{}, false},
		"hello with bad url":   {Hello{Session: "s", ICEServers: []ICEServer{{URLs: []string{"http://a"}}}}, false},
		"server without url":   {ICEServer{}, false},
	}
	check(t, tests)
}

func TestGateURLs(t *testing.T) {
	tests := []struct {
		url        string
		gate, page bool
	}{
		{"turn::3478?transport=udp", true, false},
		{"turn:turn.example.org:3478?transport=udp", true, true},
		{"turn:10.0.0.1:3478", true, true},
		{"turns:[2001:db8::1]:5349?transport=tcp", true, true},
		{"turn:example.org", true, true},
		{"stun:example.org:3478", false, true},
		{"stun:example.org?transport=udp", false, false},
		{"turn:", false, false},
		{"turn:2001:db8::1", false, false},
		{"turn:[127.0.0.1]:1", false, false},
		{"turn:a:0", false, false},
		{"turn:a:70000", false, false},
		{"turn:a:1?transport=sctp", false, false},
		{"turn:user@a:1", false, false},
		{"http://a:1", false, false},
		{"", false, false},
		{"turn:" + text(400) + ":1", false, false},
	}
	for _, test := range tests {
		t.Run(test.url, func(t *testing.T) {
			gate := Gate{ID: "g", MAC: hexes, URLs: []string{test.url}}
			if err := gate.Validate(); (err == nil) != test.gate {
				t.Errorf("from a gate: %v, want ok = %v", err, test.gate)
			}
			server := ICEServer{URLs: []string{test.url}}
			if err := server.Validate(); (err == nil) != test.page {
				t.Errorf("for a page: %v, want ok = %v", err, test.page)
			}
		})
	}
	if err := (Gate{ID: "g", MAC: hexes}).Validate(); err == nil {
		t.Error("a gate without URLs is accepted")
	}
}

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "a.example.org": true, "127.0.0.1": true, "::1": true, "A_b.c": true, "example.org.": true,
		"": false, ".": false, "a..b": false, "-a": false, "a-": false, "a b": false, "a/b": false, "[::1]": false,
		"fe80::1%eth0": false, "a:1": false, text(64): false, strings.Repeat("a.", 127) + "a": false, "ä.org": false,
	} {
		if got := ValidHost(host); got != want {
			t.Errorf("ValidHost(%q) = %v", host, got)
		}
	}
}

func TestURL(t *testing.T) {
	tests := []struct{ in, out string }{
		{"localhost:8000", "ws://localhost:8000/ws/turn"},
		{"[::1]:8000", "ws://[::1]:8000/ws/turn"},
		{"ws://a:1", "ws://a:1/ws/turn"},
		{"wss://a/", "wss://a/ws/turn"},
		{"http://a:1", "ws://a:1/ws/turn"},
		{"https://a.example.org/base", "wss://a.example.org/base/ws/turn"},
		{"ftp://a", ""},
		{"https://user:pass@a", ""},
		{"https://a?x=1", ""},
		{":8000", ""},
		{"", ""},
		{"a b:1", ""},
	}
	for _, test := range tests {
		got, err := URL(test.in, "/ws/turn")
		if got != test.out || (err == nil) != (test.out != "") {
			t.Errorf("URL(%q) = %q, %v, want %q", test.in, got, err, test.out)
		}
	}
}

func TestProbe(t *testing.T) {
	for probe, want := range map[string]bool{
		"": true, "https://eu.example.org/echo": true, "http://[2001:db8::1]:8000/echo": true, "https://a": true, "https://a/b/%41": true,
		"ftp://a": false, "//a/b": false, "a/b": false, "https://": false, "https:a": false, "https://user@a/": false, "https://a/?x": false,
		"https://a/?": false, "https://a/#x": false, "https://a/;script-src *": false, "https://a/,b": false, "https://a/b c": false,
		"https://a/'": false, "https://a/\n": false, "https://a:x/": false, "https://ä/": false, "https://a/" + text(320): false,
	} {
		if err := checkProbe(probe); (err == nil) != want {
			t.Errorf("checkProbe(%q) = %v", probe, err)
		}
	}
}

// zones are n zones that a browser has measured.
func zones(n int) map[string]int {
	all := map[string]int{}
	for i := range n {
		all["zone-"+strconv.Itoa(i)] = i
	}
	return all
}

// What Validate takes must fit into one message between roles, whatever is in it.
func TestLargestFits(t *testing.T) {
	awkward := func(n int) string { return strings.Repeat("\\", n) } // two bytes each in JSON
	user := &User{ID: text(maxID), Name: awkward(maxID), Role: RolePlayer}
	rooms := make([]Room, MaxRooms)
	for i := range rooms {
		rooms[i] = Room{ID: room, Game: text(maxID), Players: MaxPlayers, Viewers: MaxViewers, Seats: MaxPlayers, Closed: true, Since: maxTime}
	}
	register := Register{
		ID: text(maxID), Name: awkward(MaxText), Zone: awkward(maxID), MAC: hexes, Probe: "https://a/" + text(maxURL-10), Library: hexes,
		Load: Load{StateOverloaded, MaxRooms, MaxRooms, MaxSessions, 1000}, Rooms: rooms,
	}
	for range MaxMediaAddrs {
		register.MediaAddrs = append(register.MediaAddrs, "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	}
	peers := Peers{Addrs: slices.Repeat(register.MediaAddrs, MaxPeers/MaxMediaAddrs)}
	library := Library{Base: hexes, Digest: hexes, More: true}
	for range LibraryPart {
		library.Put = append(library.Put, Game{ID: text(maxID), Title: awkward(MaxText), System: awkward(maxID), Players: MaxPlayers})
	}
	gone := Library{Digest: hexes}
	for range LibraryGone {
		gone.Gone = append(gone.Gone, text(maxID))
	}
	sessions := Sessions{Total: MaxSessions}
	for range MaxListed {
		sessions.Sessions = append(sessions.Sessions, SessionInfo{
			ID: text(maxID), Room: room, Game: text(maxID), Player: MaxPlayers, Hosting: true, Away: true, User: user, Since: maxTime,
		})
	}
	queue := Queue{Coordinator: text(maxID), Since: slices.Repeat([]int64{maxTime}, MaxQueue)}
	for name, v := range map[string]validator{
		"register": register, "peers": peers, "library": library, "gone": gone, "sessions": sessions, "queue": queue, "rooms": Rooms{rooms},
	} {
		t.Run(name, func(t *testing.T) {
			if err := v.Validate(); err != nil {
				t.Fatal(err)
			}
			data, err := Encode(TypeRegister, text(maxID), text(maxID), v)
			if err != nil || len(data) > MaxInternal {
				t.Errorf("%d bytes of %d, %v", len(data), MaxInternal, err)
			}
		})
	}
}

// So must what a browser says fit into its own.
func TestLargestOfABrowserFits(t *testing.T) {
	awkward := strings.Repeat("v=0\r\n", MaxSDP/5)
	start := Start{Game: text(maxID), SDP: awkward, SRTP: SRTPSHA1, Ticket: text(maxID), Zone: text(maxID), Latencies: map[string]int{}}
	for i := range MaxZones {
		start.Latencies[text(maxID-2)+strconv.Itoa(10+i)] = maxLatency
	}
	join := Join{Room: room, SDP: awkward, SRTP: SRTPSHA1, Invite: text(MaxToken), Token: text(MaxToken)}
	for name, v := range map[string]validator{"start": start, "join": join, "offer": Offer{SDP: awkward}} {
		if err := v.Validate(); err != nil {
			t.Fatal(name, err)
		}
		if data, err := Encode(TypeStart, text(maxID), "", v); err != nil || len(data) > MaxMessage {
			t.Errorf("%s: %d bytes of %d, %v", name, len(data), MaxMessage, err)
		}
	}
}
