package library

import (
	"crypto/sha256"
	"encoding/base32"
	"path"
	"strings"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Limits of ids: signal.ValidID takes 64 bytes.
const (
	maxSlug  = 52
	hashSize = 8 // characters of base32: 40 bits tell 100,000 files apart
)

// titleOf makes a title of a file name: "Super_Game, The (USA) [!].nes" is "The
// Super Game".
func titleOf(rel string) string {
	name := path.Base(rel)
	name = strings.TrimSuffix(name, path.Ext(name))
	title := strings.ReplaceAll(stripTags(name), "_", " ")
	title = strings.Join(strings.Fields(signal.Clip(title)), " ")
	for _, article := range []string{"The", "A", "An"} {
		if head, tail, ok := strings.Cut(title, ", "+article); ok && (tail == "" || tail[0] == ' ') {
			title = article + " " + head + tail
		}
	}
	if title == "" {
		title = strings.Join(strings.Fields(signal.Clip(name)), " ")
	}
	if len(title) > maxTitle {
		title = strings.ToValidUTF8(title[:maxTitle], "")
	}
	if title == "" {
		return "Untitled"
	}
	return title
}

// stripTags drops what stands in brackets: region, revision, dump.
func stripTags(name string) string {
	var b strings.Builder
	depth := 0
	for _, r := range name {
		switch {
		case r == '(' || r == '[':
			depth++
		case (r == ')' || r == ']') && depth > 0:
			depth--
			b.WriteByte(' ')
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// slug makes an id of a title: [a-z0-9][a-z0-9-]{0,51}.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '\'' || r == '’':
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	if s := strings.TrimRight(b.String(), "-"); s != "" {
		return s
	}
	return "game"
}

// distinct makes an id of one that several files have; it depends on nothing
// but the file's place in the library, so it is the same on every worker.
func distinct(id, rel string) string {
	sum := sha256.Sum256([]byte(rel))
	return id + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:hashSize]
}
