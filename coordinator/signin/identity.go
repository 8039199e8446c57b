package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	maxName = 64 // bytes, as signal.User has it
	sumSize = 16 // bytes of a hash that is an id
)

// errToken: the provider's answer is not for us, or not for this sign-in.
var errToken = errors.New("the ID token is refused")

// redeem changes a code for who it stands for.
func (p *provider) redeem(ctx context.Context, code string, f *flow, now func() time.Time) (signal.User, error) {
	found, err := p.find(ctx)
	if err != nil {
		return signal.User{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), askTimeout)
	defer cancel()
	token, err := p.oauth(found, f.Redirect).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return signal.User{}, fmt.Errorf("redeem the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := found.Verifier(&oidc.Config{ClientID: p.cfg.ClientID, Now: now}).Verify(ctx, raw)
	if err != nil {
		return signal.User{}, fmt.Errorf("%w: %w", errToken, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return signal.User{}, fmt.Errorf("%w: it is for another sign-in (nonce)", errToken)
	}
	said := claims{}
	if err := id.Claims(&said); err != nil || id.Subject == "" {
		return signal.User{}, fmt.Errorf("%w: its claims are malformed", errToken)
	}
	if azp := said.text("azp"); azp != "" && azp != p.cfg.ClientID {
		return signal.User{}, fmt.Errorf("%w: it was made for another client (azp)", errToken)
	}
	if said.lacks(p.cfg) && found.UserInfoEndpoint() != "" {
		if err := said.ask(ctx, found, token, id.Subject); err != nil {
			p.log.Warn("the provider says nothing more about a user", "cause", err)
		}
	}
	return said.user(p.cfg, id.Issuer, id.Subject), nil
}

// claims are what a provider says of somebody. Nothing is known of their types.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// lacks says whether the ID token leaves open what the user info could say.
func (c claims) lacks(cfg OIDC) bool {
	_, email := c["email"]
	name := c.name() != ""
	claim, _, _ := strings.Cut(cfg.AdminClaim, "=")
	return !name || !email && len(cfg.Admins) > 0 || claim != "" && c.find(claim) == nil
}

// ask adds what the provider tells about its user, if it is the same one.
func (c claims) ask(ctx context.Context, found *oidc.Provider, token *oauth2.Token, subject string) error {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("ask for user info: %w", err)
	}
	if info.Subject != subject { // OpenID Connect Core 1.0, section 5.3.2
		return errors.New("the user info is about somebody else")
	}
	more := claims{}
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("read user info: %w", err)
	}
	_, email := c["email"]
	for name, value := range more {
		if _, known := c[name]; !known && (name != "email_verified" || !email) {
			c[name] = value
		}
	}
	return nil
}

// find is the value of a claim. A dot leads into an object unless a claim has
// that very name: realm_access.roles.
func (c claims) find(name string) any {
	if value, ok := c[name]; ok {
		return value
	}
	outer, inner, ok := strings.Cut(name, ".")
	object, isObject := c[outer].(map[string]any)
	if !ok || !isObject {
		return nil
	}
	return claims(object).find(inner)
}

// user is who the claims describe.
func (c claims) user(cfg OIDC, issuer, subject string) signal.User {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject))
	user := signal.User{ID: hex.EncodeToString(sum[:sumSize]), Name: c.name(), Role: signal.RolePlayer}
	if user.Name == "" {
		user.Name = "Player"
	}
	if c.admin(cfg) {
		user.Role = signal.RoleAdmin
	}
	return user
}

// name is the first of the names that somebody has.
func (c claims) name() string {
	for _, claim := range []string{"preferred_username", "name", "email"} {
		if name := clean(c.text(claim)); name != "" {
			return name
		}
	}
	return ""
}

// admin says whether the claims make an admin.
func (c claims) admin(cfg OIDC) bool {
	verified := c["email_verified"] == true || c["email_verified"] == "true" // some providers write text
	email := c.text("email")
	if verified && email != "" && slices.ContainsFunc(cfg.Admins, func(a string) bool { return strings.EqualFold(a, email) }) {
		return true
	}
	claim, want, _ := strings.Cut(cfg.AdminClaim, "=")
	if claim == "" {
		return false
	}
	switch value := c.find(claim).(type) {
	case string:
		return value == want
	case bool:
		return fmt.Sprint(value) == want
	case []any:
		return slices.Contains(value, any(want))
	}
	return false
}

// clean makes a name of a text from outside: of one line, short, and without
// what turns the direction of writing.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if len(s) > maxName {
		end := maxName
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = strings.TrimSpace(s[:end])
	}
	return s
}
