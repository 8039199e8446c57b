// Package builtin holds the games that come inside the binary, so that a fresh
// install plays with no download. Their source is in the folders beside this
// file, under the repository's license; each folder has a build.sh that makes
// the committed image anew, byte for byte.
package builtin

import _ "embed"

//go:generate ./nes/build.sh

//go:embed comet-court.nes
var cometCourt string

// Game is one game of the binary.
type Game struct {
	// ID names the game in addresses and files: ^[a-z0-9][a-z0-9-]{0,63}$.
	// It never changes.
	ID string
	// Title is what people read.
	Title string
	// System is the machine the image runs on, such as "nes".
	System string
	// Players is how many can play at once, each with a controller.
	Players int
	// ROM is the image. It is the caller's own copy.
	ROM []byte
}

// Games returns all games, in the order to show them. Each call copies the
// images, so the caller may keep and change what it gets; calls may run
// concurrently.
func Games() []Game {
	return []Game{
		{ID: "comet-court", Title: "Comet Court", System: "nes", Players: 2, ROM: []byte(cometCourt)},
	}
}
