// Package web is the page: plain ES modules, style sheets and drawings that the
// coordinator serves as they are. There is no build step, no framework, and
// nothing inline, so that the page runs under "default-src 'self'".
//
// Whoever serves it gives index.html for / and for every /play/<game> and
// /room/<room>, signin.html to who must sign in first, and admin.html for /admin
// to admins, who see workers, rooms and sessions there as /api/v1 lists them;
// all other paths are those of Files. The page opens its WebSocket
// at /ws and asks /api/games for the menu. What it shows of itself to tests is
// described at the top of app/main.js.
package web

import (
	"embed"
	"io/fs"
)

//go:embed index.html admin.html signin.html manifest.json app style icons
var files embed.FS

// Files is the page as a read-only file system with index.html at its root. It
// may be used by many goroutines. The files carry no time of change.
func Files() fs.FS {
	return files
}
