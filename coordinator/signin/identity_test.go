package signin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestClaims(t *testing.T) {
	cfg := OIDC{Admins: []string{"Ada@example.org"}, AdminClaim: "groups=operators"}
	for name, test := range map[string]struct {
		claims string
		name   string
		role   string
	}{
		"nothing":            {`{}`, "Player", signal.RolePlayer},
		"all names":          {`{"preferred_username":"ada","name":"Ada L","email":"a@b"}`, "ada", signal.RolePlayer},
		"a name":             {`{"preferred_username":" ","name":"Ada L","email":"a@b"}`, "Ada L", signal.RolePlayer},
		"an address":         {`{"name":7,"email":"a@b"}`, "a@b", signal.RolePlayer},
		"admin":              {`{"email":"ada@example.org","email_verified":true}`, "ada@example.org", signal.RoleAdmin},
		"admin, as text":     {`{"email":"ADA@example.org","email_verified":"true"}`, "ADA@example.org", signal.RoleAdmin},
		"not verified":       {`{"email":"ada@example.org","email_verified":false}`, "ada@example.org", signal.RolePlayer},
		"verified or not":    {`{"email":"ada@example.org"}`, "ada@example.org", signal.RolePlayer},
		"verified by a list": {`{"email":"ada@example.org","email_verified":[true]}`, "ada@example.org", signal.RolePlayer},
		"addresses":          {`{"email":["ada@example.org"],"email_verified":true}`, "Player", signal.RolePlayer},
		"group":              {`{"name":"x","groups":["players","operators"]}`, "x", signal.RoleAdmin},
		"group as text":      {`{"name":"x","groups":"operators"}`, "x", signal.RoleAdmin},
		"other groups":       {`{"name":"x","groups":["players","operators2",{"a":1},["operators"],null]}`, "x", signal.RolePlayer},
		"groups of a type":   {`{"name":"x","groups":{"operators":true}}`, "x", signal.RolePlayer},
	} {
		var c claims
		if err := json.Unmarshal([]byte(test.claims), &c); err != nil {
			t.Fatal(err)
		}
		user := c.user(cfg, "https://a", "1")
		if user.Name != test.name || user.Role != test.role || user.Validate() != nil {
			t.Errorf("%s: %+v", name, user)
		}
	}
	nested := claims{"realm_access": map[string]any{"roles": []any{"boss"}}, "a.b": true}
	for claim, want := range map[string]bool{
		"realm_access.roles=boss": true, "realm_access.roles=x": false, "realm_access=boss": false, "a.b=true": true, "a.c=true": false, "x=y": false,
	} {
		if got := nested.admin(OIDC{AdminClaim: claim}); got != want {
			t.Errorf("%s: %v", claim, got)
		}
	}
	if (claims{"email": "", "email_verified": true}).admin(OIDC{Admins: []string{""}}) {
		t.Error("nobody is an admin")
	}
}

// The id is the same each time, and another one for everybody else.
func TestUserID(t *testing.T) {
	seen := map[string]string{}
	for _, who := range [][2]string{{"https://a", "1"}, {"https://a", "2"}, {"https://b", "1"}, {"https://a1", ""}, {"https://", "a1"}} {
		id := claims{"name": "x"}.user(OIDC{}, who[0], who[1]).ID
		if again := (claims{}).user(OIDC{}, who[0], who[1]).ID; again != id || !signal.ValidID(id) || seen[id] != "" {
			t.Errorf("%v: %s and %s, as %s", who, id, again, seen[id])
		}
		seen[id] = who[0] + who[1]
	}
}

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"Ada": "Ada", "  Ada\tL\n": "AdaL", "\u202egnp.exe": "gnp.exe", "a\u2028b": "ab", "\xff": "", "\x00\x1b[31m": "[31m", "\u200b": "",
		strings.Repeat("é", 40): strings.Repeat("é", 32), "x" + strings.Repeat("é", 40): "x" + strings.Repeat("é", 31),
	} {
		if got := clean(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"name":"Ada","email":"a@b","email_verified":true,"groups":["x"]}`))
	f.Add([]byte(`{"groups":{"groups":[1,{},[],null,"x"]},"preferred_username":"\u202e\u0000"}`))
	cfg := OIDC{Admins: []string{"a@b"}, AdminClaim: "groups.groups=x"}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c claims
		if json.Unmarshal(data, &c) != nil || c == nil {
			return
		}
		_ = c.lacks(cfg)
		if user := c.user(cfg, "https://a", "1"); user.Validate() != nil || !utf8.ValidString(user.Name) {
			t.Errorf("%+v: %v", user, user.Validate())
		}
	})
}

// Some providers say little in the ID token.
func TestUserInfo(t *testing.T) {
	p := newIDP(t)
	p.info = map[string]any{"sub": "user-1", "email": "ada@example.org", "email_verified": true, "groups": []string{"operators"}, "name": "Other"}
	cfg := p.with(func(o *OIDC) { o.AdminClaim = "groups=operators" })
	s := open(t, cfg)
	b := s.browser()
	if status, said := b.signIn(p); status != http.StatusOK || b.role() != signal.RoleAdmin || b.state().User.Name != "Ada" {
		t.Errorf("%d %v, %q", status, said, b.role())
	}
	p.set(func() { p.info["sub"] = "user-2" })
	b = s.browser()
	if status, said := b.signIn(p); status != http.StatusOK || b.role() != signal.RolePlayer {
		t.Errorf("about somebody else: %d %v, %q", status, said, b.role())
	}
	// An address of the ID token is not verified by what the user info says.
	p.set(func() {
		p.info["sub"] = "user-1"
		p.claims = func(c map[string]any) { delete(c, "email_verified") }
	})
	s = open(t, p.with(func(o *OIDC) { o.Admins, o.AdminClaim = []string{"ada@example.org"}, "x=y" }))
	b = s.browser()
	if status, said := b.signIn(p); status != http.StatusOK || b.role() != signal.RolePlayer {
		t.Errorf("not verified: %d %v, %q", status, said, b.role())
	}
}
