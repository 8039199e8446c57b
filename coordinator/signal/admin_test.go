package signal

import (
	"testing"
)

func TestAdministration(t *testing.T) {
	info := func(change func(*SessionInfo)) Sessions {
		s := SessionInfo{ID: "s", Room: room, Game: "pong", Player: 1, Hosting: true, Since: noon().UnixMilli()}
		change(&s)
		return Sessions{Sessions: []SessionInfo{s}}
	}
	check(t, map[string]verdict{
		"drain":                {Drain{}, true},
		"no drain":             {Drain{Off: true}, true},
		"end a session":        {End{Session: "s", Reason: "maintenance"}, true},
		"end a room":           {End{Room: room}, true},
		"end nothing":          {End{Reason: "why not"}, false},
		"end both":             {End{Session: "s", Room: room}, false},
		"end a path":           {End{Session: "../s"}, false},
		"end a room by a path": {End{Room: "../s"}, false},
		"end without end":      {End{Session: "s", Reason: text(MaxText + 1)}, false},
		"end in 2 lines":       {End{Room: room, Reason: "a\nb"}, false},
		"no sessions":          {Sessions{}, true},
		"a session":            {info(func(*SessionInfo) {}), true},
		"a watcher":            {info(func(s *SessionInfo) { s.Player, s.Away, s.User = 0, true, &User{ID: "u", Role: RolePlayer} }), true},
		"without id":           {info(func(s *SessionInfo) { s.ID = "" }), false},
		"bad id":               {info(func(s *SessionInfo) { s.ID = "S" }), false},
		"without room":         {info(func(s *SessionInfo) { s.Room = "" }), false},
		"without game":         {info(func(s *SessionInfo) { s.Game = "" }), false},
		"player 9":             {info(func(s *SessionInfo) { s.Player = 9 }), false},
		"bad user":             {info(func(s *SessionInfo) { s.User = &User{} }), false},
		"before all times":     {info(func(s *SessionInfo) { s.Since = -1 }), false},
		"too many":             {Sessions{Sessions: make([]SessionInfo, MaxListed+1)}, false},
		"of more":              {Sessions{Total: MaxSessions}, true},
		"of too many":          {Sessions{Total: MaxSessions + 1}, false},
		"player":               {User{ID: "u", Name: "Ünal <3", Role: RolePlayer}, true},
		"admin":                {User{ID: "0-9", Role: RoleAdmin}, true},
		"nobody":               {User{Role: RoleAdmin}, false},
		"user in capitals":     {User{ID: "U", Role: RoleAdmin}, false},
		"king":                 {User{ID: "u", Role: "king"}, false},
		"without role":         {User{ID: "u"}, false},
		"long name":            {User{ID: "u", Name: text(65), Role: RoleAdmin}, false},
		"name of 2 lines":      {User{ID: "u", Name: "a\u2028b", Role: RoleAdmin}, false},
		"name in no script":    {User{ID: "u", Name: "\xff", Role: RoleAdmin}, false},
	})
	if err := checkUser(nil); err != nil {
		t.Error(err)
	}
}
