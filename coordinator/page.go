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
	if h := rw.Header(); h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	rw.Header().Set("ETag", a.etag)
	rw.Header().Set("Content-Type", contentType(a.name))
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(a.body))
}

// serveInstead answers with the asset in place of something that is not there,
// or not for everybody.
func (a *asset) serveInstead(rw http.ResponseWriter, r *http.Request, status int) {
	if h := rw.Header(); h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	rw.Header().Set("Content-Type", contentType(a.name))
	rw.WriteHeader(status)
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

// Pages, as files. What else they load is the same for everybody.
const (
	indexFile  = "index.html"
	adminFile  = "admin.html"
	signInFile = "signin.html"
)

// pageFile is the file behind a path.
func pageFile(name string) string {
	game, isPlay := strings.CutPrefix(name, "play/")
	room, isRoom := strings.CutPrefix(name, "room/")
	switch {
	case name == "", isPlay && signal.ValidID(game), isRoom && signal.ValidRoomID(room):
		return indexFile
	case name == "admin":
		return adminFile
	case name == "signin", name == "auth/callback":
		return signInFile
	}
	return name
}

// wantsPage says whether who asks for something that is not there would rather
// see a page than an error in plain text.
func wantsPage(r *http.Request, name string) bool {
	return strings.HasPrefix(name, "play/") || strings.HasPrefix(name, "room/") || strings.Contains(r.Header.Get("Accept"), "text/html")
}

// servePage is what browsers load: index.html for the routes that it knows,
// else the file itself. Who must sign in first gets that page in place of any
// other.
func (c *Coordinator) servePage(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	file := pageFile(name)
	a, err := loadAsset(c.cfg.Web, file)
	isPage := path.Ext(file) == ".html"
	if isMissing(err) && file != adminFile && file != signInFile {
		c.serveNowhere(rw, r)
		return
	}
	if isPage && c.askIn(rw, r, file) {
		return
	}
	switch {
	case err == nil:
		c.allowElsewhere(rw, r, isPage)
		a.serve(rw, r)
	case isMissing(err):
		http.Error(rw, "there is no such page", http.StatusNotFound)
	default:
		c.log.Error("page file", "name", name, "cause", err)
		http.Error(rw, "the page cannot be read", http.StatusInternalServerError)
	}
}

// allowElsewhere lets a page connect to what only pages need.
func (c *Coordinator) allowElsewhere(rw http.ResponseWriter, r *http.Request, isPage bool) {
	if isPage {
		rw.Header().Set(policyHeader, policy+sockets(r)+c.elsewhere())
	}
}

// serveNowhere answers who follows a link that leads nowhere: with the page,
// which says so in its own words, or in plain text. Nothing else comes of the
// path, whatever it is.
func (c *Coordinator) serveNowhere(rw http.ResponseWriter, r *http.Request) {
	if wantsPage(r, strings.TrimPrefix(r.URL.Path, "/")) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if c.askIn(rw, r, indexFile) {
			return
		}
		if a, err := loadAsset(c.cfg.Web, indexFile); err == nil {
			c.allowElsewhere(rw, r, true)
			a.serveInstead(rw, r, http.StatusNotFound)
			return
		}
	}
	http.Error(rw, "there is no such page", http.StatusNotFound)
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid)
}

// askIn answers with the page of the sign-in if a page is that one, or not for
// who asks for it. What depends on who asks is kept out of shared caches.
func (c *Coordinator) askIn(rw http.ResponseWriter, r *http.Request, file string) bool {
	if file == signInFile {
		c.serveSignIn(rw, r, http.StatusOK)
		return true
	}
	if !c.door.Required() && file != adminFile {
		return false
	}
	rw.Header().Add("Vary", "Cookie")
	user := c.door.User(r)
	switch {
	case user == nil:
		c.serveSignIn(rw, r, http.StatusUnauthorized)
		return true
	case file == adminFile && user.Role != signal.RoleAdmin:
		c.stats.refuse("denied")
		c.serveSignIn(rw, r, http.StatusForbidden)
		return true
	}
	rw.Header().Set("Cache-Control", "private, no-cache")
	c.door.Renew(rw, r)
	return false
}

func (c *Coordinator) serveSignIn(rw http.ResponseWriter, r *http.Request, status int) {
	rw.Header().Set("Cache-Control", "no-store")
	a, err := loadAsset(c.cfg.Web, signInFile)
	if isMissing(err) {
		http.Error(rw, "there is no page to sign in", http.StatusNotFound)
		return
	}
	if err != nil {
		c.log.Error("page file", "name", signInFile, "cause", err)
		http.Error(rw, "the page to sign in cannot be read", http.StatusInternalServerError)
		return
	}
	a.serveInstead(rw, r, status)
}
