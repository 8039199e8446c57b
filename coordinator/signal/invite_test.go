package signal

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// invitations are some of all kinds.
func invitations() []Invitation {
	end := noon().Add(time.Hour)
	return []Invitation{
		{ID: NewID(), Room: NewID(), Expires: end},
		{ID: "i", Room: room, Player: 1, Expires: end},
		{ID: text(maxID), Room: room, Player: MaxPlayers, Single: true, Expires: end},
		{ID: "i", Room: room, Watch: true, Expires: end},
		{ID: "i", Room: room, Watch: true, Single: true, Expires: time.Unix(maxTime, 0)},
	}
}

func same(a, b Invitation) bool {
	return a.ID == b.ID && a.Room == b.Room && a.Player == b.Player && a.Watch == b.Watch && a.Single == b.Single && a.Expires.Equal(b.Expires)
}

func TestInvitation(t *testing.T) {
	for _, want := range invitations() {
		token := MintInvite("secret", want)
		if err := (Join{Room: room, SDP: "v=0", Invite: token}).Validate(); err != nil {
			t.Fatal(err)
		}
		if strings.Trim(token, urlCharacters) != "" {
			t.Errorf("%s does not fit into a link", token)
		}
		if got, err := VerifyInvite("secret", token, noon()); err != nil || !same(got, want) {
			t.Errorf("VerifyInvite = %+v, %v, want %+v", got, err, want)
		}
		if _, err := VerifyInvite("secret", token, want.Expires.Add(-1)); err != nil {
			t.Errorf("just before it expires: %v", err)
		}
		if _, err := VerifyInvite("secret", token, want.Expires); !errors.Is(err, ErrInviteExpired) {
			t.Errorf("when it expires: %v", err)
		}
		if _, err := VerifyInvite("other", token, noon()); !errors.Is(err, ErrInviteInvalid) {
			t.Errorf("another secret: %v", err)
		}
	}
}

func TestInvitationForged(t *testing.T) {
	for _, i := range invitations() {
		good := MintInvite("secret", i)
		for at := range good {
			for bit := range 8 {
				bad := []byte(good)
				bad[at] ^= 1 << bit
				if _, err := VerifyInvite("secret", string(bad), noon()); !errors.Is(err, ErrInviteInvalid) {
					t.Fatalf("bit %d of byte %d changed: %v", bit, at, err)
				}
			}
		}
		for _, bad := range []string{good + "A", good + "=", " " + good, good[:len(good)-1], strings.ToUpper(good), good + "." + good} {
			if _, err := VerifyInvite("secret", bad, noon()); !errors.Is(err, ErrInviteInvalid) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	if _, err := VerifyInvite("", MintInvite("", invitations()[0]), noon()); !errors.Is(err, ErrInviteInvalid) {
		t.Errorf("an empty secret: %v", err)
	}
}

// What has a good MAC and is still none of ours is refused, too.
func TestInvitationMalformed(t *testing.T) {
	body := func(id, room, player, kind, end string) string {
		return strings.Join([]string{inviteVersion, id, room, player, kind, end}, ".")
	}
	const end = "99999999999"
	for _, bad := range []string{
		"", ".", inviteVersion, "i2.i." + room + ".0.p." + end, body("", room, "0", "p", end), body("I", room, "0", "p", end),
		body("i", "room", "0", "p", end), body("i", room, "", "p", end), body("i", room, "-1", "p", end), body("i", room, "9", "p", end),
		body("i", room, "x", "p", end), body("i", room, "0", "", end), body("i", room, "0", "1", end), body("i", room, "0", "p11", end),
		body("i", room, "0", "x", end), body("i", room, "2", "w", end), body("i", room, "0", "p", ""), body("i", room, "0", "p", "-1"),
		body("i", room, "0", "p", "1e9"), body("i", room, "0", "p", "99999999999999999"), body("i", room, "0", "p", end) + ".x",
	} {
		token := bad + "." + inviteMAC("secret", bad)
		if _, err := VerifyInvite("secret", token, noon()); !errors.Is(err, ErrInviteInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "x", text(MaxToken + 1)} {
		if _, err := VerifyInvite("secret", bad, noon()); !errors.Is(err, ErrInviteInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The errors are for pages as they are.
func TestInviteErrorsCanBeShown(t *testing.T) {
	for err, code := range map[*Error]Code{ErrInviteInvalid: CodeDenied, ErrInviteExpired: CodeExpired} {
		wantCode(t, err, code)
	}
}

func TestInvitesAreChecked(t *testing.T) {
	check(t, map[string]verdict{
		"invite":             {Invite{Room: room}, true},
		"invite a player":    {Invite{Room: room, Session: "s", Player: MaxPlayers, Single: true, Seconds: 60}, true},
		"invite a watcher":   {Invite{Room: room, Watch: true, Seconds: maxSeconds}, true},
		"invite player 9":    {Invite{Room: room, Player: 9}, false},
		"invite player -1":   {Invite{Room: room, Player: -1}, false},
		"a watcher who play": {Invite{Room: room, Player: 1, Watch: true}, false},
		"invite nowhere":     {Invite{}, false},
		"invite by a path":   {Invite{Room: room, Session: "../s"}, false},
		"invite for ever":    {Invite{Room: room, Seconds: maxSeconds + 1}, false},
		"invite for less":    {Invite{Room: room, Seconds: -1}, false},
		"invited":            {Invited{ID: "i", Token: text(MaxToken), Expires: in(time.Hour)}, true},
		"invited by nothing": {Invited{Token: "t"}, false},
		"a long token":       {Invited{ID: "i", Token: text(MaxToken + 1)}, false},
		"a token of lines":   {Invited{ID: "i", Token: "a\nb"}, false},
		"before all times":   {Invited{ID: "i", Token: "t", Expires: -1}, false},
		"revoke":             {Revoke{Room: room, Session: "s", ID: "i"}, true},
		"revoke as an admin": {Revoke{Room: room, ID: "i"}, true},
		"revoke nothing":     {Revoke{Room: room}, false},
		"revoke nowhere":     {Revoke{ID: "i"}, false},
		"revoke by a path":   {Revoke{Room: room, ID: "i", Session: "../s"}, false},
	})
}

func TestInviteKey(t *testing.T) {
	part := PodPart("uid")
	key := InviteKey("secret", part)
	if err := (Accepted{Invites: key}).Validate(); err != nil {
		t.Errorf("%s: %v", key, err)
	}
	if key == InviteKey("secrets", part) || InviteKey("", part) != "" || (Accepted{Invites: key[2:]}).Validate() == nil {
		t.Error("two secrets share a key, or it has no form")
	}
	if key == InviteKey("secret", PodPart("another")) || key == InviteKey("secret", "") || key != InviteKey("secret", NewRoomID(part)) {
		t.Error("the key is not that of the rooms of one pod")
	}
	// Who has the key has neither the proof of a worker nor the sessions of pages.
	nonce := NewNonce()
	if CheckMAC("secret", nonce, RoleWorker, "w", MAC(key, nonce, RoleWorker, "w")) {
		t.Error("the key proves a worker")
	}
	if _, err := VerifyToken("secret", MintToken(key, Session{ID: "s", Expires: in(time.Hour)}), noon()); err == nil {
		t.Error("the key signs sessions")
	}
}
