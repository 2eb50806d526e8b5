package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Anybody's tool reads the dead-letter topic: the bytes are the record's, and the headers are
// text under the names that people know.
func TestD08KafkasConsoleReadsLetters(t *testing.T) {
	each(t, "D08 console", func(t *testing.T, at combination) {
		cluster := testutil.KafkaCluster(t, 1)
		w := newWorldOn(t, at, 1, cluster.KafkaBroker)
		w.registry = accountsUnder(guards.None())
		w.tables(&Account{})
		w.start()
		w.tell(0, broken("a", 1))
		w.eventually(func() bool {
			letters := w.letters()
			return len(letters) == 1 && !letters[0].PublishedAt.IsZero()
		}, func() string { return "the letter is not on its topic" })
		letter := w.letters()[0]
		printed := cluster.Tool(t, "org.apache.kafka.tools.consumer.ConsoleConsumer",
			"--bootstrap-server", cluster.Brokers, "--topic", w.dlq, "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000",
			"--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
		for _, want := range []string{
			"evenkeel-letter:" + letter.ID, "evenkeel-reason:rejected", "evenkeel-entity:a",
			"__dlq.errors.topic:" + w.topic, "__dlq.errors.partition:0", "__dlq.errors.offset:0", "__dlq.errors.message:dead-letter (rejected)",
			"\ta\t" + string(letter.Record.Value),
		} {
			require.Contains(t, printed, want)
		}
	})
}
