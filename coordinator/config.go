package coordinator

import (
	"io/fs"
	"log/slog"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Config is what a Coordinator needs. It is copied by New and may be reused.
type Config struct {
	// Address to listen on, host:port; port 0 takes a free one (see Addr).
	Address string
	// TLS has HTTPS served at Address; the zero value is plain HTTP.
	TLS TLS
	// Local has workers and gates of this process served at a port of 127.0.0.1
	// too, by plain HTTP (see LocalAddr): the certificates are for the names that
	// browsers come by.
	Local bool
	// Web holds the page: index.html and what it loads. Required.
	Web fs.FS
	// Secret is shared with the workers. Required.
	Secret string
	// TURNSecrets are shared with the gates: credentials are minted with the
	// first, a gate may prove itself with any. None means one derived from
	// Secret (see credential.Derive and credential.LabelTURN). See also
	// Coordinator.SetTURNSecrets.
	TURNSecrets []string
	// ICEServers are told to browsers besides the gates that are connected.
	ICEServers []signal.ICEServer
	// CredentialTTL is the life of a TURN credential; 0 means 5 minutes. It
	// bounds when an allocation may be made, not how long it lives.
	CredentialTTL time.Duration
	// Origins are other origins (scheme://host[:port]) whose pages may open the
	// browser's WebSocket; the host of the request itself always may. "*" allows all.
	Origins []string
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

const defaultCredentialTTL = 5 * time.Minute
