package libretro

import (
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	maxMessages = 8  // of one Run
	logBurst    = 64 // lines at once
	logPerSec   = 1  // lines a second in the long run
)

// clean makes one line of printable UTF-8 of what a core said.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// extensions splits "nes|fds|unf".
func extensions(list string) []string {
	parts := strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == '|' || unicode.IsSpace(r) })
	parts = slices.DeleteFunc(parts, func(s string) bool { return strings.ContainsAny(s, "/\x00") || len(s) > 16 })
	return parts[:min(len(parts), 64)]
}

// level maps enum retro_log_level; what is no level is a warning. What cores
// call information is for their authors: mgba tells of every DMA.
func level(l int) slog.Level {
	switch l {
	case 0, 1:
		return slog.LevelDebug
	case 3:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// limiter is a bucket of log lines: full at first, refilled by time.
type limiter struct {
	lines float64
	last  time.Time
}

// take says whether one more line may be logged at now.
func (l *limiter) take(now time.Time) bool {
	if l.last.IsZero() {
		l.lines = logBurst
	} else if d := now.Sub(l.last); d > 0 {
		l.lines = min(logBurst, l.lines+d.Seconds()*logPerSec)
	}
	l.last = now
	if l.lines < 1 {
		return false
	}
	l.lines--
	return true
}

// packOptions makes "key\0value\0" pairs in the order of the keys. Keys and
// values that C strings cannot carry are left out.
func packOptions(options map[string]string) []byte {
	keys := make([]string, 0, len(options))
	for key, value := range options {
		if key != "" && !strings.Contains(key, "\x00") && !strings.Contains(value, "\x00") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var packed []byte
	for _, key := range keys {
		packed = append(append(packed, key...), 0)
		packed = append(append(packed, options[key]...), 0)
	}
	return packed
}
