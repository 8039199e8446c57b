package peer

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLogs hands pion's log lines to slog. What pion calls an error or a
// warning is mostly a stranger's malformed datagram, so it arrives as Debug:
// nobody outside can fill the log.
type pionLogs struct{ log *slog.Logger }

var _ logging.LoggerFactory = pionLogs{}

// NewLogger implements logging.LoggerFactory.
func (p pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{p.log.With("pion", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) say(level, msg string) {
	l.log.Debug("pion", "level", level, "text", msg)
}

func (l pionLogger) sayf(level, format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.say(level, fmt.Sprintf(format, args...))
	}
}

func (l pionLogger) Trace(string)                  {}
func (l pionLogger) Tracef(string, ...any)         {}
func (l pionLogger) Debug(string)                  {}
func (l pionLogger) Debugf(string, ...any)         {}
func (l pionLogger) Info(msg string)               { l.say("info", msg) }
func (l pionLogger) Infof(format string, a ...any) { l.sayf("info", format, a) }
func (l pionLogger) Warn(msg string)               { l.say("warn", msg) }
func (l pionLogger) Warnf(format string, a ...any) { l.sayf("warn", format, a) }
func (l pionLogger) Error(msg string)              { l.say("error", msg) }
func (l pionLogger) Errorf(format string, a ...any) {
	l.sayf("error", format, a)
}
