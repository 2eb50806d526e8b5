package framework

import (
	"context"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// Level is how loud a log line is.
type Level uint8

// The levels. Payloads appear at LevelDebug alone, passwords never.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// Logger takes the log: one line of text and alternating keys and values. It is called
// from many goroutines.
type Logger interface {
	Log(level Level, text string, fields ...any)
}

// Logrus logs through l.
func Logrus(l *logrus.Logger) Logger { return logrusLogger{l} }

type logrusLogger struct{ l *logrus.Logger }

func (g logrusLogger) Log(level Level, text string, fields ...any) {
	to := logrus.DebugLevel
	switch level {
	case LevelDebug:
	case LevelInfo:
		to = logrus.InfoLevel
	case LevelWarn:
		to = logrus.WarnLevel
	case LevelError:
		to = logrus.ErrorLevel
	}
	if !g.l.IsLevelEnabled(to) {
		return
	}
	f := logrus.Fields{}
	for i := 0; i+1 < len(fields); i += 2 {
		if k, ok := fields[i].(string); ok {
			f[k] = fields[i+1]
		}
	}
	g.l.WithFields(f).Log(to, text)
}

// Slog logs through l.
func Slog(l *slog.Logger) Logger { return slogLogger{l} }

type slogLogger struct{ l *slog.Logger }

func (g slogLogger) Log(level Level, text string, fields ...any) {
	to := slog.LevelDebug
	switch level {
	case LevelDebug:
	case LevelInfo:
		to = slog.LevelInfo
	case LevelWarn:
		to = slog.LevelWarn
	case LevelError:
		to = slog.LevelError
	}
	g.l.Log(context.Background(), to, text, fields...)
}
