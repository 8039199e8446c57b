package config

import (
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source string // where it stands: "FILE:LINE", an environment variable or a flag; "" = the default
	Key    string // dotted path; "" = the source as a whole
	Text   string // what is wrong, and what helps
}

// String is the problem on one line.
func (p Problem) String() string {
	var parts []string
	for _, part := range []string{p.Source, p.Key, p.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is everything that is wrong, at least one. It is the error of Load
// and Validate.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return "configuration:\n  " + strings.Join(lines, "\n  ")
}

// asError is nil for no problems, so that no typed nil escapes.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// nearest is the known key most like key: the one with the fewest edits, where
// a known key with the same last name counts as nearly equal. It is "" only
// when none is known.
func nearest(key string, known []string) string {
	best, bestCost := "", 0
	key = strings.ToLower(key)
	for _, k := range known {
		low := strings.ToLower(k)
		cost := 2 * distance(key, low)
		if lastName(key) == lastName(low) {
			cost = min(cost, 3)
		}
		if best == "" || cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

func lastName(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// maxDistance bounds the strings that distance compares; longer ones are cut.
const maxDistance = 128

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), maxDistance)], b[:min(len(b), maxDistance)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// unknown is the problem of a key that nothing reads. Keys of its own section
// are preferred: a mistyped name usually stands in the right place.
func unknown(source, key string) Problem {
	known := knownKeys(key)
	section := strings.ToLower(key[:strings.LastIndexByte(key, '.')+1])
	name := strings.ToLower(lastName(key))
	siblings := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		rest, ok := strings.CutPrefix(strings.ToLower(k), section)
		return !ok || strings.Contains(rest, ".") || distance(rest, name) > 1+len(name)/3
	})
	if len(siblings) > 0 {
		known = siblings
	}
	return Problem{source, key, "unknown key; the nearest known one is " + nearest(key, known)}
}
