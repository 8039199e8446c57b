package signal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// bound is a number, a length or a count: what is from low to high is accepted,
// and nothing beside it.
type bound struct {
	low, high int
	at        func(n int) validator
}

// Good ones of each payload, of which tests change a single field.
func goodAnswer() Answer {
	return Answer{SDP: "v=0", Room: room, Game: "pong", Title: "Pong", System: "nes", Player: 1, Seats: 2}
}

func goodRegister() Register {
	return Register{
		ID: "w", Name: "one", MAC: hexes, MediaAddrs: []string{"127.0.0.1:8443"}, Library: hexes, Load: Load{State: StateReady, Places: 4},
	}
}

func goodRoom() Room { return Room{ID: room, Game: "pong", Players: 1, Seats: 2} }

func goodInfo() SessionInfo { return SessionInfo{ID: "s", Room: room, Game: "pong", Player: 1} }

func goodServers(n int) []ICEServer {
	return slices.Repeat([]ICEServer{{URLs: []string{"stun:a"}}}, max(0, n))
}

// with is a good payload after a change.
func with[T validator](v T, change func(*T)) validator {
	change(&v)
	return v
}

// within tries a bound at both of its ends.
func within(t *testing.T, bounds map[string]bound) {
	t.Helper()
	for name, b := range bounds {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{b.low, b.high} {
				if err := b.at(n).Validate(); err != nil {
					t.Errorf("%d is refused: %v", n, err)
				}
			}
			if err := b.at(b.high + 1).Validate(); err == nil {
				t.Errorf("%d is accepted", b.high+1)
			}
			if err := b.at(b.low - 1).Validate(); err == nil {
				t.Errorf("%d is accepted", b.low-1)
			}
		})
	}
}

func TestBoundsOfNumbers(t *testing.T) {
	within(t, map[string]bound{
		"join player":     {0, MaxPlayers, func(n int) validator { return Join{Room: room, SDP: "v=0", Player: n} }},
		"answer seats":    {1, MaxPlayers, func(n int) validator { return with(goodAnswer(), func(a *Answer) { a.Seats = n }) }},
		"answer player":   {0, 2, func(n int) validator { return with(goodAnswer(), func(a *Answer) { a.Player = n }) }},
		"latency":         {0, maxLatency, func(n int) validator { return Start{Game: "pong", Latencies: map[string]int{"eu": n}} }},
		"game players":    {0, MaxPlayers, func(n int) validator { return Game{"a", "A", "nes", n} }},
		"room players":    {0, MaxPlayers, func(n int) validator { return with(goodRoom(), func(r *Room) { r.Players = n }) }},
		"room viewers":    {0, MaxViewers, func(n int) validator { return with(goodRoom(), func(r *Room) { r.Viewers = n }) }},
		"room seats":      {0, MaxPlayers, func(n int) validator { return with(goodRoom(), func(r *Room) { r.Seats = n }) }},
		"room since":      {0, int(maxTime), func(n int) validator { return with(goodRoom(), func(r *Room) { r.Since = int64(n) }) }},
		"load places":     {0, MaxRooms, func(n int) validator { return Load{State: StateReady, Places: n} }},
		"load free":       {0, 7, func(n int) validator { return Load{State: StateReady, Places: 7, Free: n} }},
		"load sessions":   {0, MaxSessions, func(n int) validator { return Load{State: StateReady, Sessions: n} }},
		"load late":       {0, 1000, func(n int) validator { return Load{State: StateReady, Late: n} }},
		"invite player":   {0, MaxPlayers, func(n int) validator { return Invite{Room: room, Player: n} }},
		"invite seconds":  {0, maxSeconds, func(n int) validator { return Invite{Room: room, Seconds: n} }},
		"reserve since":   {0, int(maxTime), func(n int) validator { return Reserve{Ticket: "t", Game: "a", Since: int64(n)} }},
		"reserved":        {1, maxSeconds, func(n int) validator { return Reserved{"t", n} }},
		"granted":         {1, maxSeconds, func(n int) validator { return Granted{Ticket: "t", Seconds: n} }},
		"position":        {1, 1 << 30, func(n int) validator { return Queued{Position: n, Waiting: 1 << 30} }},
		"waiting":         {3, 1 << 30, func(n int) validator { return Queued{Position: 3, Waiting: n} }},
		"queue since":     {0, int(maxTime), func(n int) validator { return Queue{Coordinator: "c", Since: []int64{int64(n)}} }},
		"session player":  {0, MaxPlayers, func(n int) validator { return with(goodInfo(), func(s *SessionInfo) { s.Player = n }) }},
		"session since":   {0, int(maxTime), func(n int) validator { return with(goodInfo(), func(s *SessionInfo) { s.Since = int64(n) }) }},
		"sessions total":  {0, MaxSessions, func(n int) validator { return Sessions{Total: n} }},
		"token's waiting": {0, int(maxTime), func(n int) validator { return Session{ID: "s", Waiting: int64(n)} }},
	})
}

// missing is what stands for a length of -1: nothing can be that short.
func missing() validator { return Hello{} }

// atMost is the bound of a text that may be empty, fromOne of one that may not.
func atMost(high int, at func(s string) validator) bound {
	return bound{0, high, func(n int) validator {
		if n < 0 {
			return missing()
		}
		return at(text(n))
	}}
}

func fromOne(high int, at func(s string) validator) bound {
	return bound{1, high, func(n int) validator { return at(text(n)) }}
}

func TestBoundsOfTexts(t *testing.T) {
	start := func(change func(*Start)) validator { return with(Start{Game: "pong", SDP: "v=0"}, change) }
	join := func(change func(*Join)) validator { return with(Join{Room: room, SDP: "v=0"}, change) }
	answer := func(change func(*Answer)) validator { return with(goodAnswer(), change) }
	register := func(change func(*Register)) validator { return with(goodRegister(), change) }
	within(t, map[string]bound{
		"hello session":     fromOne(maxID, func(s string) validator { return Hello{Session: s} }),
		"hello token":       atMost(MaxToken, func(s string) validator { return Hello{Session: "s", Token: s} }),
		"alternate":         atMost(maxURL, func(s string) validator { return Hello{Session: "s", Alternates: []string{s}} }),
		"username":          atMost(MaxText, func(s string) validator { return ICEServer{URLs: []string{"stun:a"}, Username: s} }),
		"credential":        atMost(MaxText, func(s string) validator { return ICEServer{URLs: []string{"stun:a"}, Credential: s} }),
		"start game":        fromOne(maxID, func(s string) validator { return start(func(v *Start) { v.Game = s }) }),
		"start sdp":         atMost(MaxSDP, func(s string) validator { return start(func(v *Start) { v.SDP = s }) }),
		"start ticket":      atMost(maxID, func(s string) validator { return start(func(v *Start) { v.Ticket = s }) }),
		"start zone":        atMost(maxID, func(s string) validator { return start(func(v *Start) { v.Zone = s }) }),
		"measured zone":     atMost(maxID, func(s string) validator { return start(func(v *Start) { v.Latencies = map[string]int{s: 1} }) }),
		"start host":        atMost(63, func(s string) validator { return start(func(v *Start) { v.Host = s }) }),
		"join sdp":          fromOne(MaxSDP, func(s string) validator { return join(func(v *Join) { v.SDP = s }) }),
		"join invite":       atMost(MaxToken, func(s string) validator { return join(func(v *Join) { v.Invite = s }) }),
		"join token":        atMost(MaxToken, func(s string) validator { return join(func(v *Join) { v.Token = s }) }),
		"join replaces":     atMost(maxID, func(s string) validator { return join(func(v *Join) { v.Replaces = s }) }),
		"join host":         atMost(63, func(s string) validator { return join(func(v *Join) { v.Host = s }) }),
		"offer sdp":         fromOne(MaxSDP, func(s string) validator { return Offer{SDP: s} }),
		"answer sdp":        fromOne(MaxSDP, func(s string) validator { return answer(func(v *Answer) { v.SDP = s }) }),
		"answer game":       fromOne(maxID, func(s string) validator { return answer(func(v *Answer) { v.Game = s }) }),
		"answer title":      atMost(MaxText, func(s string) validator { return answer(func(v *Answer) { v.Title = s }) }),
		"answer system":     atMost(MaxText, func(s string) validator { return answer(func(v *Answer) { v.System = s }) }),
		"answer token":      atMost(MaxToken, func(s string) validator { return answer(func(v *Answer) { v.Token = s }) }),
		"candidate":         atMost(MaxCandidate, func(s string) validator { return Candidate{Candidate: s} }),
		"sdpMid":            atMost(maxID, func(s string) validator { return Candidate{SDPMid: &s} }),
		"resume token":      atMost(MaxToken, func(s string) validator { return Resume{s} }),
		"resumed session":   fromOne(maxID, func(s string) validator { return Resumed{s, "t"} }),
		"resumed token":     atMost(MaxToken, func(s string) validator { return Resumed{"s", s} }),
		"closed reason":     atMost(MaxText, func(s string) validator { return Closed{Reason: s} }),
		"closed code":       atMost(maxID, func(s string) validator { return Closed{Code: Code(s)} }),
		"error code":        fromOne(maxID, func(s string) validator { return &Error{Code: Code(s)} }),
		"error message":     atMost(MaxText, func(s string) validator { return &Error{CodeFull, s} }),
		"game id":           fromOne(maxID, func(s string) validator { return Game{s, "A", "nes", 1} }),
		"game title":        fromOne(MaxText, func(s string) validator { return Game{"a", s, "nes", 1} }),
		"game system":       fromOne(maxID, func(s string) validator { return Game{"a", "A", s, 1} }),
		"room game":         fromOne(maxID, func(s string) validator { return with(goodRoom(), func(r *Room) { r.Game = s }) }),
		"coordinator":       fromOne(maxID, func(s string) validator { return Challenge{hexes, s} }),
		"worker id":         fromOne(maxID, func(s string) validator { return register(func(r *Register) { r.ID = s }) }),
		"worker name":       atMost(MaxText, func(s string) validator { return register(func(r *Register) { r.Name = s }) }),
		"worker zone":       atMost(maxID, func(s string) validator { return register(func(r *Register) { r.Zone = s }) }),
		"gate id":           fromOne(maxID, func(s string) validator { return Gate{s, hexes, []string{"turn:a"}} }),
		"proof id":          fromOne(maxID, func(s string) validator { return Proof{ID: s, MAC: hexes} }),
		"reserve ticket":    fromOne(maxID, func(s string) validator { return Reserve{Ticket: s, Game: "a"} }),
		"reserve game":      fromOne(maxID, func(s string) validator { return Reserve{Ticket: "t", Game: s} }),
		"reserved ticket":   fromOne(maxID, func(s string) validator { return Reserved{s, 1} }),
		"cancel ticket":     fromOne(maxID, func(s string) validator { return Cancel{s} }),
		"queue coordinator": fromOne(maxID, func(s string) validator { return Queue{Coordinator: s} }),
		"queued token":      atMost(MaxToken, func(s string) validator { return Queued{1, 1, s} }),
		"granted ticket":    fromOne(maxID, func(s string) validator { return Granted{Ticket: s, Seconds: 1} }),
		"ended session":     fromOne(maxID, func(s string) validator { return End{Session: s} }),
		"reason of an end":  atMost(MaxText, func(s string) validator { return End{Session: "s", Reason: s} }),
		"and of a room":     atMost(MaxText, func(s string) validator { return End{Room: room, Reason: s} }),
		"listed session":    fromOne(maxID, func(s string) validator { return with(goodInfo(), func(i *SessionInfo) { i.ID = s }) }),
		"listed game":       fromOne(maxID, func(s string) validator { return with(goodInfo(), func(i *SessionInfo) { i.Game = s }) }),
		"user id":           fromOne(maxID, func(s string) validator { return User{s, "U", RolePlayer} }),
		"user name":         atMost(maxID, func(s string) validator { return User{"u", s, RolePlayer} }),
		"who invites":       atMost(maxID, func(s string) validator { return Invite{Room: room, Session: s} }),
		"invitation's id":   fromOne(maxID, func(s string) validator { return Invited{ID: s, Token: "t"} }),
		"invitation":        atMost(MaxToken, func(s string) validator { return Invited{ID: "i", Token: s} }),
		"revoked":           fromOne(maxID, func(s string) validator { return Revoke{Room: room, ID: s} }),
		"who revokes":       atMost(maxID, func(s string) validator { return Revoke{Room: room, ID: "i", Session: s} }),
		"token's session":   fromOne(maxID, func(s string) validator { return Session{ID: s} }),
		"token's worker":    atMost(maxID, func(s string) validator { return Session{ID: "s", Worker: s} }),
		"token's game":      atMost(maxID, func(s string) validator { return Session{ID: "s", Game: s} }),
	})
}

func TestBoundsOfLists(t *testing.T) {
	few := func(low, high int, at func(n int) validator) bound {
		return bound{low, high, func(n int) validator {
			if n < 0 {
				return missing()
			}
			return at(n)
		}}
	}
	urls := func(n int) []string { return slices.Repeat([]string{"turn:a"}, n) }
	addrs := func(n int) []string { return slices.Repeat([]string{"10.0.0.1:1"}, n) }
	within(t, map[string]bound{
		"servers of a hello": few(0, MaxICEServers, func(n int) validator { return Hello{Session: "s", ICEServers: goodServers(n)} }),
		"alternates":         few(0, MaxURLs, func(n int) validator { return Hello{Session: "s", Alternates: make([]string, n)} }),
		"servers":            few(0, MaxICEServers, func(n int) validator { return Servers{goodServers(n)} }),
		"servers of a grant": few(0, MaxICEServers, func(n int) validator { return Granted{"t", 1, goodServers(n)} }),
		"URLs of a server":   few(1, MaxURLs, func(n int) validator { return ICEServer{URLs: urls(n)} }),
		"URLs of a gate":     few(1, MaxURLs, func(n int) validator { return Gate{"g", hexes, urls(n)} }),
		"zones":              few(0, MaxZones, func(n int) validator { return Start{Game: "a", Latencies: zones(n)} }),
		"media addresses":    few(0, MaxMediaAddrs, func(n int) validator { return with(goodRegister(), func(r *Register) { r.MediaAddrs = addrs(n) }) }),
		"peers":              few(0, MaxPeers, func(n int) validator { return Peers{addrs(n)} }),
		"rooms":              few(0, MaxRooms, func(n int) validator { return Rooms{slices.Repeat([]Room{goodRoom()}, n)} }),
		"rooms of a worker": few(0, MaxRooms, func(n int) validator {
			return with(goodRegister(), func(r *Register) { r.Rooms = slices.Repeat([]Room{goodRoom()}, n) })
		}),
		"games": few(0, MaxGames, func(n int) validator {
			return Library{Digest: hexes, Put: slices.Repeat([]Game{{"a", "A", "nes", 1}}, n)}
		}),
		"gone":     few(0, MaxGames, func(n int) validator { return Library{Digest: hexes, Gone: slices.Repeat([]string{"a"}, n)} }),
		"queue":    few(0, MaxQueue, func(n int) validator { return Queue{Coordinator: "c", Since: make([]int64, n)} }),
		"sessions": few(0, MaxListed, func(n int) validator { return Sessions{Sessions: slices.Repeat([]SessionInfo{goodInfo()}, n)} }),
	})
}

// What is wrong in one of a list is wrong in all of it, wherever it stands.
func TestOneOfMany(t *testing.T) {
	const n = 5
	for at := range n {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			rooms, infos, servers := slices.Repeat([]Room{goodRoom()}, n), slices.Repeat([]SessionInfo{goodInfo()}, n), goodServers(n)
			addrs, urls := slices.Repeat([]string{"10.0.0.1:1"}, n), slices.Repeat([]string{"turn:a"}, n)
			games, gone := slices.Repeat([]Game{{"a", "A", "nes", 1}}, n), slices.Repeat([]string{"a"}, n)
			alternates, since := make([]string, n), []int64{0, 1, 2, 3, 4}
			all := map[string]validator{
				"rooms": Rooms{rooms}, "sessions": Sessions{Sessions: infos}, "servers": Servers{servers}, "peers": Peers{addrs},
				"gate": Gate{"g", hexes, urls}, "server": ICEServer{URLs: urls}, "put": Library{Digest: hexes, Put: games},
				"gone": Library{Digest: hexes, Gone: gone}, "alternates": Hello{Session: "s", Alternates: alternates},
				"media": with(goodRegister(), func(r *Register) { r.MediaAddrs = addrs }), "queue": Queue{Coordinator: "c", Since: since},
			}
			for name, v := range all {
				if err := v.Validate(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			rooms[at].Seats, infos[at].Room, servers[at].URLs, addrs[at], urls[at] = -1, "", nil, "10.0.0.1", "turn:"
			games[at].Title, gone[at], alternates[at], since[at] = "", "A", "\n", -1
			for name, v := range all {
				if err := v.Validate(); err == nil {
					t.Errorf("%s: a bad one is accepted", name)
				}
			}
		})
	}
}

// Texts for people have no control characters, whoever says them.
func TestControlCharacters(t *testing.T) {
	for _, bad := range []string{"\x00", "\n", "\r", "\t", "\x1f", "\x7f", "\u0080", "\u009f", "\u2028", "\u2029", "\xff", "a\xc3"} {
		for name, v := range map[string]validator{
			"reason":    Closed{Reason: bad},
			"message":   &Error{CodeFull, "a" + bad},
			"title":     Game{"a", "A" + bad, "nes", 1},
			"system":    Game{"a", "A", "nes" + bad, 1},
			"name":      User{"u", bad, RolePlayer},
			"worker":    with(goodRegister(), func(r *Register) { r.Name = bad }),
			"zone":      with(goodRegister(), func(r *Register) { r.Zone = bad }),
			"username":  ICEServer{URLs: []string{"stun:a"}, Username: bad},
			"password":  ICEServer{URLs: []string{"stun:a"}, Credential: bad},
			"token":     Resume{"a" + bad},
			"candidate": Candidate{Candidate: bad},
			"mid":       Candidate{SDPMid: &bad},
			"alternate": Hello{Session: "s", Alternates: []string{bad}},
			"end":       End{Room: room, Reason: bad},
		} {
			if err := v.Validate(); err == nil {
				t.Errorf("%s with %q is accepted", name, bad)
			}
		}
	}
	for _, good := range []string{"Ünal", "日本", "a b", "\u00a0", "🎮", "~"} {
		if err := (Closed{Reason: good}).Validate(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestIDsAndTags(t *testing.T) {
	for c := range rune(256) {
		s := string(c)
		lower, digit := c >= 'a' && c <= 'z', c >= '0' && c <= '9'
		if got := ValidID("a" + s); got != (lower || digit || c == '-') {
			t.Errorf("ValidID with %q is %v", c, got)
		}
		if got := ValidID(s); got != (lower || digit) {
			t.Errorf("ValidID(%q) is %v", c, got)
		}
		if got := ValidRoomID(room[1:] + s); got != (lower || c >= '2' && c <= '7') {
			t.Errorf("ValidRoomID with %q is %v", c, got)
		}
		if got := validTag(s); got != (c > ' ' && c <= '~') {
			t.Errorf("validTag(%q) is %v", c, got)
		}
	}
	for _, s := range []string{"", room[1:], room + "a"} {
		if ValidRoomID(s) {
			t.Errorf("%q is a room", s)
		}
	}
	if !validTag("") || !validTag(text(maxID)) || validTag(text(maxID+1)) || ValidID("") || ValidID(text(maxID+1)) {
		t.Error("lengths")
	}
}

func TestHex(t *testing.T) {
	for s, want := range map[string]bool{
		hexes: true, strings.ToUpper(hexes): true, "": false, hexes[2:]: false, hexes[1:]: false, hexes + "00": false, "0x" + hexes[2:]: false, " " + hexes[1:]: false,
	} {
		for name, err := range map[string]error{
			"nonce": Challenge{s, "c"}.Validate(), "mac": Proof{ID: "w", MAC: s}.Validate(), "gate": Gate{"g", s, []string{"turn:a"}}.Validate(),
			"digest": Library{Digest: s}.Validate(), "library": with(goodRegister(), func(r *Register) { r.Library = s }).Validate(),
		} {
			if (err == nil) != want {
				t.Errorf("%s %q: %v", name, s, err)
			}
		}
	}
	if err := (Library{Base: "", Digest: hexes}).Validate(); err != nil {
		t.Errorf("a library on nothing: %v", err)
	}
}

// What Read refuses says of which message it is, and can be sent, however long
// what was said.
func TestRefusalsCanBeSent(t *testing.T) {
	long := strings.Repeat("ä", 4*MaxText)
	type refusal struct {
		v    any
		read func(Envelope) error
	}
	for name, test := range map[string]refusal{
		"state":    {Load{State: long}, readError[Load]},
		"probe":    {with(goodRegister(), func(r *Register) { r.Probe = "https://" + long }), readError[Register]},
		"address":  {Peers{[]string{long}}, readError[Peers]},
		"url":      {ICEServer{URLs: []string{long}}, readError[ICEServer]},
		"gate":     {Gate{"g", hexes, []string{"turn:" + long}}, readError[Gate]},
		"no list":  {map[string]any{"rooms": long}, readError[Rooms]},
		"no title": {Game{ID: text(maxID)}, readError[Game]},
	} {
		data, err := json.Marshal(test.v)
		if err != nil {
			t.Fatal(err)
		}
		err = test.read(Envelope{V: Version, Type: TypePeers, Data: data})
		wantCode(t, err, CodeBadRequest)
		if !strings.HasPrefix(AsError(err).Message, string(TypePeers)+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func readError[T any, P payload[T]](e Envelope) error {
	_, err := Read[T, P](e)
	return err
}
