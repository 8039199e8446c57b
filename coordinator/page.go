package coordinator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// maxAsset bounds one file of the page.
const maxAsset = 32 << 20

// asset is one thing that is served whole, with an ETag over its content.
type asset struct {
	name string // for the content type
	etag string
	body []byte // never changed
}

func newAsset(name string, body []byte) *asset {
	sum := sha256.Sum256(body)
	return &asset{name: name, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, body: body}
}

// serve answers with the asset, or that it has not changed. Browsers keep it
// and ask each time, so a new version is seen at once.
func (a *asset) serve(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-cache")
	rw.Header().Set("ETag", a.etag)
	rw.Header().Set("Content-Type", contentType(a.name))
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(a.body))
}

// serveMissing answers with the asset in place of something that is not there.
func (a *asset) serveMissing(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-cache")
	rw.Header().Set("Content-Type", contentType(a.name))
	rw.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = rw.Write(a.body) // the client may be gone
	}
}

// contentType does not depend on the tables of the machine for what a page is
// made of.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".ico":
		return "image/x-icon"
	case ".txt", ".md":
		return "text/plain; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

// loadAsset reads a file of the page. The name is hostile: fs.ValidPath keeps
// it inside, and names that begin with a dot are not part of a page.
func loadAsset(web fs.FS, name string) (*asset, error) {
	if !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return nil, fs.ErrNotExist
	}
	f, err := web.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open page file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat page file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxAsset {
		return nil, fs.ErrNotExist
	}
	body, err := io.ReadAll(io.LimitReader(f, maxAsset))
	if err != nil {
		return nil, fmt.Errorf("read page file %s: %w", name, err)
	}
	return newAsset(name, body), nil
}

// servePage is what browsers load: index.html for the routes that it knows,
// else the file itself. Who follows a link that leads nowhere gets the page too,
// with status 404: it says so in its own words.
func (c *Coordinator) servePage(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	game, isPlay := strings.CutPrefix(name, "play/")
	room, isRoom := strings.CutPrefix(name, "room/")
	if name == "" || isPlay && signal.ValidID(game) || isRoom && signal.ValidRoomID(room) {
		name = "index.html"
	}
	a, err := loadAsset(c.cfg.Web, name)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid)
	if missing && (isPlay || isRoom || strings.Contains(r.Header.Get("Accept"), "text/html")) {
		a, err = loadAsset(c.cfg.Web, "index.html")
		if err == nil {
			a.serveMissing(rw, r)
			return
		}
	}
	switch {
	case err == nil:
		a.serve(rw, r)
	case missing:
		http.Error(rw, "there is no such page", http.StatusNotFound)
	default:
		c.log.Error("page file", "name", name, "cause", err)
		http.Error(rw, "the page cannot be read", http.StatusInternalServerError)
	}
}

// serveGames is /api/games.
func (c *Coordinator) serveGames(rw http.ResponseWriter, r *http.Request) {
	c.registry.games.Load().serve(rw, r)
}
