package signal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// How much goes into one Library message at the most, so that it stays under
// MaxInternal.
const (
	LibraryPart = 2_000  // games of Put
	LibraryGone = 20_000 // ids of Gone, in messages without Put
)

// LibraryDigest names a list of games by its content: hex(SHA-256) over the games
// sorted by id. Workers with the same games have the same digest.
func LibraryDigest(games []Game) string {
	sorted := slices.SortedFunc(slices.Values(games), func(a, b Game) int { return cmp.Compare(a.ID, b.ID) })
	sum := sha256.New()
	for _, g := range sorted {
		for _, field := range []string{g.ID, g.Title, g.System, strconv.Itoa(g.Players)} {
			sum.Write([]byte(strconv.Itoa(len(field)) + ":" + field))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Validate checks the digests, each game and their number.
func (l Library) Validate() error {
	if len(l.Put)+len(l.Gone) > MaxGames {
		return fmt.Errorf("more than %d games", MaxGames)
	}
	if l.Base != "" {
		if err := checkHex("base", l.Base, sha256.Size); err != nil {
			return err
		}
	}
	if err := checkHex("digest", l.Digest, sha256.Size); err != nil {
		return err
	}
	for _, g := range l.Put {
		if err := g.Validate(); err != nil {
			return err
		}
	}
	for _, id := range l.Gone {
		if err := checkGame(id); err != nil {
			return err
		}
	}
	return nil
}
