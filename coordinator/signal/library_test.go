package signal

import (
	"slices"
	"testing"
)

// games are three, in an order that is not that of their ids.
func games() []Game {
	return []Game{{"b", "B", "nes", 2}, {"a", "A", "snes", 1}, {"c", "C", "gba", 0}}
}

// The digest is of the content, not of the order, and of each part of it.
func TestLibraryDigest(t *testing.T) {
	want := LibraryDigest(games())
	sorted := games()
	slices.Reverse(sorted)
	if got := LibraryDigest(sorted); got != want {
		t.Error("the order counts")
	}
	if given := games(); LibraryDigest(given) != want || !slices.Equal(given, games()) {
		t.Error("what is given was sorted")
	}
	seen := map[string]string{want: "nothing"}
	change := func(name string, do func([]Game) []Game) {
		digest := LibraryDigest(do(games()))
		if other, ok := seen[digest]; ok {
			t.Errorf("%s changed has the digest of %s changed", name, other)
		}
		seen[digest] = name
		if err := (Library{Digest: digest}).Validate(); err != nil {
			t.Error(err)
		}
	}
	change("an id", func(g []Game) []Game { g[0].ID = "bb"; return g })
	change("a title", func(g []Game) []Game { g[0].Title = "BB"; return g })
	change("a system", func(g []Game) []Game { g[0].System = "gb"; return g })
	change("a number of players", func(g []Game) []Game { g[0].Players = 3; return g })
	change("what is there", func(g []Game) []Game { return g[1:] })
	change("all", func([]Game) []Game { return nil })
	change("the place of a letter", func(g []Game) []Game { g[0].Title, g[0].System = "Bn", "es"; return g })
	change("the place of a number", func(g []Game) []Game { g[0].System, g[0].Players = "nes2", 0; return g })
	change("the number of two", func(g []Game) []Game { g[0].Players, g[1].Players = 1, 2; return g })
	change("the titles of two", func(g []Game) []Game { g[0].Title, g[1].Title = "A", "B"; return g })
}

func TestLibraryIsChecked(t *testing.T) {
	one := Game{"a", "A", "nes", 2}
	check(t, map[string]verdict{
		"nothing":        {Library{Digest: hexes}, true},
		"all":            {Library{Digest: hexes, Put: []Game{one}}, true},
		"a change":       {Library{Base: hexes, Digest: hexes, Put: []Game{one}, Gone: []string{"b"}, More: true}, true},
		"no digest":      {Library{Put: []Game{one}}, false},
		"short digest":   {Library{Digest: hexes[2:]}, false},
		"digest no hex":  {Library{Digest: text(64)}, false},
		"base no hex":    {Library{Base: text(64), Digest: hexes}, false},
		"too many":       {Library{Digest: hexes, Put: make([]Game, MaxGames+1)}, false},
		"too many in it": {Library{Digest: hexes, Put: make([]Game, MaxGames), Gone: []string{"a"}}, false},
		"gone nowhere":   {Library{Digest: hexes, Gone: []string{""}}, false},
		"gone by a path": {Library{Digest: hexes, Gone: []string{"../a"}}, false},
		"no id":          {Library{Digest: hexes, Put: []Game{{"", "A", "nes", 1}}}, false},
		"id by a path":   {Library{Digest: hexes, Put: []Game{{"../a", "A", "nes", 1}}}, false},
		"no title":       {Library{Digest: hexes, Put: []Game{{"a", "", "nes", 1}}}, false},
		"no system":      {Library{Digest: hexes, Put: []Game{{"a", "A", "", 1}}}, false},
		"title in lines": {Library{Digest: hexes, Put: []Game{{"a", "A\nB", "nes", 1}}}, false},
		"nine players":   {Library{Digest: hexes, Put: []Game{{"a", "A", "nes", 9}}}, false},
	})
}

func BenchmarkLibraryDigest(b *testing.B) {
	list := make([]Game, 30_000)
	for i := range list {
		list[i] = Game{ID: NewID(), Title: text(40), System: "snes", Players: 2}
	}
	for b.Loop() {
		LibraryDigest(list)
	}
}
