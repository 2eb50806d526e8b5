package stage

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// TestMain lets this test binary be a member: the demo starts itself again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestSmallDemo(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := Run([]string{"--events", "2000", "--orders", "200", "--arms", "--json"}, []string{os.Args[0]}, strings.NewReader(""), &stdout, &stderr)
	require.Zero(t, code, stderr.String())
	var r result
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r), stdout.String())
	require.Equal(t, 200, r.Rows[orders])
	require.Equal(t, r.Rows[orders]+r.Rows[shipments]+r.Rows[customers], r.Evenkeel.Right)
	require.Positive(t, r.Evenkeel.EverParked)
	require.Positive(t, r.Evenkeel.Most.Placeholders)
	require.Equal(t, r.LeftPredicted, r.Evenkeel.Left)
	require.Zero(t, r.Evenkeel.Left.Parked)
	for _, table := range []string{orders, shipments, customers} {
		require.Positive(t, r.Naive.WrongIn[table], table)
	}
	require.Equal(t, 2000, r.Evenkeel.Records)
	require.Equal(t, r.Predicted, r.Evenkeel.Letters)
	require.Zero(t, r.ByHand.Wrong, r.ByHand.Deviations)
	require.Len(t, r.Naive.Deviations, 3)
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	require.Equal(t, r.verdict(), lines[len(lines)-1])
	require.Contains(t, stderr.String(), "killed (SIGKILL)")
}

func TestMemberEndsWithItsParent(t *testing.T) {
	t.Parallel()
	broker := testutil.Kafka(t)
	topic := broker.Topic(t, "orders", 1)
	scans := broker.Topic(t, "shipments", 1)
	broker.CreateTopic(t, service.DeadLetterTopic(topic), 1)
	o, err := parseOptions(nil)
	require.NoError(t, err)
	db, err := openDatabase(t.Context(), o, t.TempDir())
	require.NoError(t, err)
	defer db.close()

	line, err := json.Marshal(memberConfig{DSN: db.dsn, Settings: service.Settings{Brokers: broker.Brokers, Group: topic, Orders: topic, Shipments: scans}})
	require.NoError(t, err)
	in, parent := io.Pipe()
	ended := make(chan int, 1)
	var out, log bytes.Buffer
	go func() { ended <- Main([]string{memberCommand}, in, &out, &log) }()
	_, err = parent.Write(append(line, '\n'))
	require.NoError(t, err)
	require.NoError(t, parent.Close()) // what the system does when the parent dies
	require.Zero(t, <-ended, log.String())

	out.Reset()
	require.Equal(t, 1, Main([]string{memberCommand}, strings.NewReader(""), &out, io.Discard))
	require.Contains(t, out.String(), "a member is started by the demo itself")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(nil)
	require.NoError(t, err)
	require.Equal(t, []int{50_000, 5000, 6, 1000}, []int{o.events, o.orders, o.partitions, o.batch})
	require.True(t, o.embeddedBroker && o.embeddedStorage)

	o, err = parseOptions([]string{"--events=4000", "--orders", "10", "--brokers", "a:1,b:2", "--dsn", "postgres://u:p@h/d", "--seed", "7", "--arms", "--clean", "--topic", "mine"})
	require.NoError(t, err)
	require.Equal(t, uint64(7), o.seed)
	require.Equal(t, 80, o.batch)
	require.False(t, o.embeddedBroker || o.embeddedStorage)

	tests := map[string]struct {
		args []string
		want []string
	}{
		"no number":    {[]string{"--events", "many"}, []string{`--events: found "many", expected a whole number`, "e.g. --events 50000"}},
		"too few":      {[]string{"--events", "10"}, []string{"--events: found 10, expected a number from 1000 to 50000000"}},
		"many orders":  {[]string{"--events", "1000", "--orders", "900"}, []string{"--orders: found 900, expected a number from 1 to 200", "lower --orders or raise --events"}},
		"partitions":   {[]string{"--partitions", "0"}, []string{"--partitions: found 0, expected a number from 1 to 1000"}},
		"seed":         {[]string{"--seed", "-1"}, []string{`--seed: found "-1", expected a whole number from 0 on`}},
		"no port":      {[]string{"--brokers", "localhost"}, []string{`--brokers: found "localhost", expected host:port`}},
		"no URL":       {[]string{"--dsn", "host=x password=secret"}, []string{"--dsn: found something else, expected a URL that begins with postgres://"}},
		"topic":        {[]string{"--topic", "a b"}, []string{`--topic: found "a b", expected up to 200 letters`}},
		"an argument":  {[]string{"now"}, []string{`found the argument "now", expected flags only`}},
		"unknown flag": {[]string{"--speed"}, []string{"flag provided but not defined: -speed; --help lists the flags"}},
		"all at once":  {[]string{"--events", "1", "--partitions", "0"}, []string{"--events: found 1", "--partitions: found 0"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, 2, Run(tt.args, nil, strings.NewReader(""), &stdout, &stderr))
			for _, want := range tt.want {
				require.Contains(t, stderr.String(), want)
			}
			require.NotContains(t, stderr.String(), "secret")
			require.Empty(t, stdout.String())
		})
	}
	var help bytes.Buffer
	require.Zero(t, Run([]string{"--help"}, nil, strings.NewReader(""), &help, io.Discard))
	require.Contains(t, help.String(), "--events N")
}

func TestExitCodeFollowsTheNumbers(t *testing.T) {
	t.Parallel()
	right := result{Naive: arm{Wrong: 3}}
	for name, tt := range map[string]struct {
		spoil func(*result)
		code  int
	}{
		"right":                  {func(*result) {}, 0},
		"the naive one is right": {func(r *result) { r.Naive.Wrong = 0 }, 1},
		"wrong":                  {func(r *result) { r.Evenkeel.Wrong = 1 }, 1},
		"lost":                   {func(r *result) { r.Evenkeel.Lost = 1 }, 1},
		"duplicate":              {func(r *result) { r.Evenkeel.Duplicate = 1 }, 1},
		"stale":                  {func(r *result) { r.Evenkeel.Stale = 1 }, 1},
		"stuck":                  {func(r *result) { r.Evenkeel.Stuck = 1 }, 1},
		"an offset ahead":        {func(r *result) { r.Evenkeel.Ahead = 1 }, 1},
	} {
		r := right
		tt.spoil(&r)
		var out bytes.Buffer
		require.Equal(t, tt.code, r.print(&options{}, &out, io.Discard), name)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Equal(t, r.verdict(), lines[len(lines)-1])
	}
	require.Equal(t, "result: evenkeel wrong=0 lost=0 duplicate=0 stale=0 stuck=0; naive wrong=3", right.verdict())
}

func TestSchemaGoesIntoTheDSN(t *testing.T) {
	t.Parallel()
	dsn, err := withSchema("postgres://u:p%40ss@h:5432/d?sslmode=disable", "mine")
	require.NoError(t, err)
	require.Equal(t, "postgres://u:p%40ss@h:5432/d?search_path=mine&sslmode=disable", dsn)
	_, err = withSchema("postgres://u:se cret%zz@h/d", "mine")
	require.ErrorContains(t, err, "--dsn")
	require.NotContains(t, err.Error(), "cret")
}

func TestProgressOnTerminalAndElsewhere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&options{}, &out, io.Discard)
	require.False(t, p.terminal)
	for n := range int64(101) {
		p.step("reading", n, 100, "")
	}
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.NotContains(t, out.String(), "\r")
	for n := range int64(101) {
		p.step("counting", n, 100, "what")
	}
	require.Equal(t, 12, strings.Count(out.String(), "\n"))

	out.Reset()
	p.terminal = true
	p.step("drawing", 50, 100, "half")
	p.say("done")
	require.Contains(t, out.String(), "\r")
	require.Contains(t, out.String(), "50/100  half\ndone\n")
}

func TestSomebodyElsesTopicStays(t *testing.T) {
	t.Parallel()
	broker := testutil.Kafka(t, testutil.KafkaEmbedded())
	topic := broker.Topic(t, "mine", 1)
	var stderr bytes.Buffer
	code := Run([]string{"--brokers", broker.Brokers, "--topic", topic, "--clean"}, []string{os.Args[0]}, strings.NewReader(""), io.Discard, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "which is there already")
	require.NotEmpty(t, broker.TopicID(t, topic))
	require.Empty(t, broker.TopicID(t, service.DeadLetterTopic(topic)), "what the run made is gone")
}
