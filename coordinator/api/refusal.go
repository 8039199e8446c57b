package api

import (
	"errors"
	"net/http"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Codes of errors: some of package signal, and what only HTTP knows.
const (
	codeBadRequest = string(signal.CodeBadRequest)
	codeTooLarge   = string(signal.CodeTooLarge)
	codeNotFound   = string(signal.CodeNotFound)
	codeDenied     = string(signal.CodeDenied)
	codeSignIn     = string(signal.CodeSignIn)
	codeFailed     = string(signal.CodeFailed)
	codeMethod     = "method"
	codeRate       = "requests"
	codeCrossSite  = "cross-site"
	codeStopping   = "stopping"
	codeSlow       = "slow"
)

// Error is what every refusal says.
type Error struct {
	Code    string `json:"code"`    // for programs
	Message string `json:"message"` // for people
}

// refusal is an error with its status.
type refusal struct {
	body   Error
	status int
}

func refuse(status int, code, message string) error {
	return &refusal{Error{code, message}, status}
}

// Error implements error.
func (r *refusal) Error() string { return r.body.Code + ": " + r.body.Message }

// asRefusal is what the client is told of err.
func asRefusal(err error) *refusal {
	var own *refusal
	if errors.As(err, &own) {
		return own
	}
	var said *signal.Error
	if errors.As(err, &said) {
		return &refusal{Error{string(said.Code), said.Message}, statusOf(said.Code)}
	}
	return &refusal{Error{codeFailed, "it broke on our side"}, http.StatusInternalServerError}
}

// statusOf is the status for what a worker has answered.
func statusOf(code signal.Code) int {
	switch code {
	case signal.CodeBadRequest, signal.CodeVersion:
		return http.StatusBadRequest
	case signal.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case signal.CodeNotFound:
		return http.StatusNotFound
	case signal.CodeSignIn:
		return http.StatusUnauthorized
	case signal.CodeDenied, signal.CodeHost, signal.CodeInvite, signal.CodeRemoved:
		return http.StatusForbidden
	case signal.CodeExpired, signal.CodeRevoked, signal.CodeUsed:
		return http.StatusGone
	case signal.CodeFull, signal.CodeDraining, signal.CodeBusy, signal.CodeElsewhere:
		return http.StatusConflict
	case signal.CodeNoWorker:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}
