package turn

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logFactory lets pion/turn log through slog. All of it is at level debug:
// what pion calls an error is a datagram that any stranger can send. Its own
// debug and trace messages come for each packet and are dropped.
type logFactory struct{ log *slog.Logger }

// NewLogger is part of pion's LoggerFactory.
func (f logFactory) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{f.log.With("scope", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) debug(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pion", "text", fmt.Sprintf(format, args...))
	}
}

func (l pionLogger) Trace(string)              {}
func (l pionLogger) Tracef(string, ...any)     {}
func (l pionLogger) Debug(string)              {}
func (l pionLogger) Debugf(string, ...any)     {}
func (l pionLogger) Info(s string)             { l.debug("%s", s) }
func (l pionLogger) Infof(f string, a ...any)  { l.debug(f, a...) }
func (l pionLogger) Warn(s string)             { l.debug("%s", s) }
func (l pionLogger) Warnf(f string, a ...any)  { l.debug(f, a...) }
func (l pionLogger) Error(s string)            { l.debug("%s", s) }
func (l pionLogger) Errorf(f string, a ...any) { l.debug(f, a...) }

var _ logging.LoggerFactory = logFactory{}
