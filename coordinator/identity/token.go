package identity

import (
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Bounds of tokens.
const (
	maxToken = 8 << 10 // bytes
	maxKeyID = 256     // bytes
	maxUID   = 64      // bytes
	maxShown = 128     // bytes of what somebody else has written, in an error
)

// errMalformed is all that is said of what is no token at all.
var errMalformed = errors.New("it is no signed JWT of an API server")

// claims are those that the API server puts into a token
// (kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin,
// "Schema for service account private claims").
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
		Pod struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

// parsed is a token that was read, and not checked.
type parsed struct {
	signed *jwt.JSONWebToken
	key    string // id of what is said to have signed it
	claims claims
}

// algorithms are those of keys that an API server can have. None of them is
// symmetric: the keys are public.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}
}

// parse reads a token. Nothing in it is to be believed yet.
func parse(token string) (parsed, error) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return parsed{}, errMalformed
	}
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || len(signed.Headers) != 1 {
		return parsed{}, errMalformed
	}
	p := parsed{signed: signed, key: signed.Headers[0].KeyID}
	if p.key == "" || len(p.key) > maxKeyID || signed.UnsafeClaimsWithoutVerification(&p.claims) != nil {
		return parsed{}, errMalformed
	}
	return p, nil
}

// clip is as much of a foreign text as fits into an error, which quotes it.
func clip(s string) string { return s[:min(len(s), maxShown)] }
