package confluent

import (
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// LogFunc takes a line of librdkafka's own log; level is syslog's, 0 to 7.
type LogFunc func(level int, client, facility, text string)

type logs struct {
	channel chan kafka.LogEvent
	quit    chan struct{}
	log     LogFunc
}

func newLogs(log LogFunc) *logs {
	return &logs{channel: make(chan kafka.LogEvent, 1000), quit: make(chan struct{}), log: log}
}

func (l *logs) run() {
	for {
		select {
		case e := <-l.channel:
			l.log(e.Level, e.Name, e.Tag, e.Message)
		case <-l.quit:
			return
		}
	}
}

func (l *logs) stop() { close(l.quit) }
