package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
)

// doctorTimeout bounds all that the doctor asks.
const doctorTimeout = time.Minute

type doctorFlags struct {
	brokers, group, letters string
	topics, properties      []string
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, or soon will be",
		Long: `Look at everything that a consumer needs, and say what is to be done: whether
the database answers, has the tables and may be written, and how far its clock
is off; whether Kafka answers, the topics are there, this client may use them,
and their settings are good for events and for dead letters; which members have
been seen. Nothing is changed.

Without --topic the topics are those that the group has read. In a service that
the commands are mounted in, its configuration is checked, too, and the topics
that its handlers emit to.

Exit codes: 0 all is well or may hurt some day (warn), 1 something fails.`,
		Example: `  evenkeel doctor --brokers kafka:9092 --dead-letter-topic orders.dlq
  evenkeel doctor -o json | jq -r '.[] | select(.health != "ok") | .mend'`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.brokers, "brokers", "", "the Kafka `brokers`, host:port,host:port")
	flags.StringVar(&f.group, "group", "", "the consumer `group`")
	flags.StringArrayVar(&f.topics, "topic", nil, "look at this `topic` of events; may be repeated")
	flags.StringVar(&f.letters, "dead-letter-topic", "", "look at this dead-letter `topic`")
	kafkaFlag(c, &f.properties)
	c.RunE = func(c *cobra.Command, _ []string) error {
		format, err := a.format(c)
		if err != nil {
			return err
		}
		config, err := a.doctorConfig(c, &f)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), doctorTimeout)
		defer cancel()
		db, closeDB, findings := a.doctorConnects(ctx)
		defer closeDB()
		findings = append(findings, framework.Diagnose(ctx, db, config)...)
		return a.writeFindings(c, format, findings)
	}
	return c
}

// doctorConfig is the service's configuration with what the flags say instead.
func (a *app) doctorConfig(c *cobra.Command, f *doctorFlags) (*framework.Config, error) {
	config := framework.Config{}
	if a.config != nil {
		config = *a.config
	}
	properties, err := kafkaProperties(c, f.properties)
	if err != nil {
		return nil, err
	}
	config.Brokers, config.Group, config.Kafka = f.brokers, f.group, properties
	if f.letters != "" {
		config.DeadLetterTopic = f.letters
	}
	if len(f.topics) > 0 {
		config.Topics = f.topics
	}
	return &config, nil
}

// doctorConnects connects, or finds why not; then the rest is looked at without a database.
func (a *app) doctorConnects(ctx context.Context) (*gorm.DB, func(), []framework.Finding) {
	db, closeDB, err := a.connect(ctx, false)
	if err == nil {
		return db, closeDB, nil
	}
	text, next, _ := strings.Cut(err.Error(), "\n  next: ")
	return nil, func() {}, []framework.Finding{{Check: "database", Health: framework.HealthFail, Text: text, Mend: next}}
}

// findingJSON is a finding for programs. Names and meanings are stable; new ones may come.
type findingJSON struct {
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Health  string `json:"health"`
	Text    string `json:"text"`
	Mend    string `json:"mend"`
}

func (a *app) writeFindings(c *cobra.Command, f format, findings []framework.Finding) error {
	w := c.OutOrStdout()
	failed := 0
	for _, found := range findings {
		if found.Health == framework.HealthFail {
			failed++
		}
	}
	if f != formatTable {
		err := writeAll(w, f, findings, func(d framework.Finding) findingJSON {
			return findingJSON{d.Check, d.Subject, string(d.Health), d.Text, d.Mend}
		})
		if err != nil {
			return err
		}
	} else {
		emphasis := a.emphasis(w)
		for _, found := range findings {
			line := fmt.Sprintf("%-5s %s", found.Health, safe(strings.TrimSpace(found.Check+" "+found.Subject)))
			if found.Health != framework.HealthOK {
				line = emphasis(line)
			}
			fmt.Fprintf(w, "%s: %s\n", line, indented(found.Text))
			if found.Mend != "" {
				fmt.Fprintf(w, "      next: %s\n", indented(found.Mend))
			}
		}
	}
	if failed > 0 {
		return &problem{code: codeError, what: fmt.Sprintf("%d of %d checks fail", failed, len(findings)), next: "see above what mends each"}
	}
	return nil
}

// indented is a text whose further lines stand below the first.
func indented(s string) string { return strings.ReplaceAll(safeLines(s), "\n", "\n      ") }
