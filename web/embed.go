// Package web is the page: plain ES modules, style sheets and drawings that the
// coordinator serves as they are. There is no build step, no framework, and
// nothing inline, so that the page runs under "default-src 'self'".
//
// Whoever serves it gives index.html for / and for every /play/<game> and
// /room/<room>, signin.html to who must sign in first, and admin.html for /admin
// to admins, who see workers, rooms and sessions there as /api/v1 lists them;
// all other paths are those of Files. The page opens its WebSocket
// at /ws and asks /api/games for the menu.
//
// For tests and tools the page shows window.cloudretro (read only):
//
//	state     'menu' | 'connecting' | 'queued' | 'playing' | 'reconnecting' | 'error'
//	phase     what 'connecting' or 'reconnecting' waits for: socket asking path, else null
//	game, room, title, player, seats, geometry   what is known, or null
//	saved     when the game was saved, ms since 1970, or 0
//	queue     {position, waiting} in state 'queued', else null
//	members, invitations, host, closed   the people in the room, see company.js
//	coordinator  URL of the WebSocket in use, or null
//	socket    its state, see signal.js, or null
//	zones     {list, latencies, choice}, see zones.js
//	pc        the RTCPeerConnection, or null (always null in the menu)
//	video     the <video>, or null
//	error     the reason of 'error' {code, title, text, help}, or null
//	errors    everything that went wrong so far, oldest first: {code, message}
//	firstFrame  ms from the load of the page to the first picture of this game, or null
//	stats()   a Promise of the figures of the overlay, over one second
//	sendControl(object)  says something on the control channel; whether it could
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
