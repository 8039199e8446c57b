package main

import (
	"io"
	"log/slog"

	"github.com/cloudretro/cloudretro/config"
)

// newLogger writes to w what cfg asks for.
func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	log, _ := newLevelled(w, cfg)
	return log
}

// newLevelled is newLogger with the level that it writes from, to be changed at
// any time.
func newLevelled(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(levelOf(cfg))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

func levelOf(cfg config.Log) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo // config has validated it
	}
	return level
}
