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

// Trace drops a message that comes for each packet.
func (l pionLogger) Trace(string) {}

// Tracef drops a message that comes for each packet.
func (l pionLogger) Tracef(string, ...any) {}

// Debug drops a message that comes for each packet.
func (l pionLogger) Debug(string) {}

// Debugf drops a message that comes for each packet.
func (l pionLogger) Debugf(string, ...any) {}

// Info logs for debugging.
func (l pionLogger) Info(s string) { l.debug("%s", s) }

// Infof logs for debugging.
func (l pionLogger) Infof(f string, a ...any) { l.debug(f, a...) }

// Warn logs for debugging.
func (l pionLogger) Warn(s string) { l.debug("%s", s) }

// Warnf logs for debugging.
func (l pionLogger) Warnf(f string, a ...any) { l.debug(f, a...) }

// Error logs for debugging.
func (l pionLogger) Error(s string) { l.debug("%s", s) }

// Errorf logs for debugging.
func (l pionLogger) Errorf(f string, a ...any) { l.debug(f, a...) }

var _ logging.LoggerFactory = logFactory{}
