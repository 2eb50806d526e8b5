package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

// settled runs a command that has all flags that settings know, and returns what it got.
func settled(t *testing.T, env map[string]string, config *framework.Config, args ...string) (got map[string]string, changed bool, err error) {
	t.Helper()
	a := &app{environment: environment{getenv: func(name string) string { return env[name] }}, config: config}
	got = map[string]string{}
	c := &cobra.Command{Use: "probe", SilenceErrors: true, SilenceUsage: true, RunE: func(c *cobra.Command, _ []string) error {
		for _, s := range settingsKnown() {
			got[s.key] = c.Flags().Lookup(s.key).Value.String()
			changed = changed || c.Flags().Changed(s.key)
		}
		return nil
	}}
	flags := c.Flags()
	for _, s := range settingsKnown() {
		switch s.key {
		case "redact":
			flags.StringArrayVar(&a.redact, s.key, nil, "")
		case "kafka":
			kafkaFlag(c, &[]string{})
		default:
			flags.String(s.key, "", "")
		}
	}
	flags.StringVar(&a.settings, "config", "", "")
	flags.StringVar(&a.context, "context", "", "")
	a.finish(c)
	c.SetArgs(append([]string{}, args...))
	c.SetOut(&bytes.Buffer{})
	c.SetErr(&bytes.Buffer{})
	err = c.ExecuteContext(t.Context())
	return got, changed, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const someSettings = `# of the team
dsn: postgres://file
group: orders
output: json
redact: [payload.card]
kafka:
  security.protocol: SASL_SSL
  sasl.password: open=sesame
context: test
contexts:
  test:
    brokers: test:9092
  production:
    brokers: prod:9092
    dsn: postgres://production
    redact:
      - header.token
    kafka: {sasl.password: other}
`

func TestSettingsPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "s.yaml"), someSettings)
	config := &framework.Config{Brokers: "service:9092", Group: "billing", Kafka: map[string]any{"client.id": "x", "fetch.max.bytes": 7}}
	for name, c := range map[string]struct {
		env    map[string]string
		config *framework.Config
		args   []string
		want   map[string]string
	}{
		"nothing": {nil, nil, nil, map[string]string{"dsn": "", "redact": "[]"}},
		"file": {nil, nil, []string{"--config", file}, map[string]string{
			"dsn": "postgres://file", "group": "orders", "output": "json", "brokers": "test:9092", "redact": "[payload.card]", "kafka": "[security.protocol=SASL_SSL,sasl.password=open=sesame]",
		}},
		"another context": {nil, nil, []string{"--config", file, "--context", "production"}, map[string]string{
			"dsn": "postgres://production", "group": "orders", "brokers": "prod:9092", "redact": "[payload.card,header.token]", "kafka": "[security.protocol=SASL_SSL,sasl.password=open=sesame,sasl.password=other]",
		}},
		"variables before the file": {
			map[string]string{"EVENKEEL_CONFIG": file, "EVENKEEL_DSN": "postgres://env", "EVENKEEL_REDACT": "key,error", "EVENKEEL_CONTEXT": "production", "EVENKEEL_KAFKA": "a=1,2\nb=3"},
			nil, nil,
			map[string]string{"dsn": "postgres://env", "group": "orders", "brokers": "prod:9092", "redact": "[payload.card,header.token,key,error]", "kafka": `[security.protocol=SASL_SSL,sasl.password=open=sesame,sasl.password=other,"a=1,2",b=3]`},
		},
		"flags before all": {
			map[string]string{"EVENKEEL_DSN": "postgres://env", "EVENKEEL_AS": "bob"},
			config,
			[]string{"--config", file, "--dsn", "postgres://flag", "--redact", "key", "--group", "mine", "--kafka", "z=1"},
			map[string]string{"dsn": "postgres://flag", "group": "mine", "as": "bob", "redact": "[payload.card,key]", "brokers": "service:9092", "kafka": "[security.protocol=SASL_SSL,sasl.password=open=sesame,client.id=x,fetch.max.bytes=7,z=1]"},
		},
		"the service before the file": {nil, config, []string{"--config", file}, map[string]string{"group": "billing", "brokers": "service:9092", "dsn": "postgres://file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, changed, err := settled(t, c.env, c.config, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range c.want {
				if got[key] != want {
					t.Errorf("%s: got %s, want %s", key, got[key], want)
				}
			}
			if changed && len(c.args) < 3 {
				t.Error("a setting counts as a flag that was given")
			}
		})
	}
}

func TestSettingsAreFound(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(home, ".config", "evenkeel", settingsName), "group: home\n")
	write(t, filepath.Join(home, "xdg", "evenkeel", settingsName), "group: xdg\n")
	t.Chdir(dir)
	env := map[string]string{"HOME": home}
	look := func(want string) {
		t.Helper()
		got, _, err := settled(t, env, nil)
		if err != nil || got["group"] != want {
			t.Errorf("got %q, %v; want %q", got["group"], err, want)
		}
	}
	look("home")
	env["XDG_CONFIG_HOME"] = filepath.Join(home, "xdg")
	look("xdg")
	write(t, settingsName, "group: here\n")
	look("here")
	// A file that lies about may not run programs; one that is named may.
	write(t, settingsName, "kafka:\n  plugin.library.paths: ./evil\n")
	_, _, err := settled(t, env, nil)
	if err == nil || !strings.Contains(err.Error(), "evenkeel.yaml, line 2") || !strings.Contains(err.Error(), "--config evenkeel.yaml") {
		t.Errorf("%v", err)
	}
	if _, _, err := settled(t, env, nil, "--config", settingsName); err != nil {
		t.Errorf("named: %v", err)
	}
}

func TestSettingsMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"dsn: a\nbrokrs: sesame\n":                       {"s.yaml, line 2", `no key "brokrs"`, "brokers"},
		"contexts:\n  test:\n    bootstrap: sesame\n":    {"line 3", `no key "bootstrap"`},
		"contexts:\n  test:\n    contexts: {}\n":         {"line 3", `no key "contexts"`},
		"dsn: [sesame]\n":                                {"line 1", "dsn: expected one value"},
		"dsn:\n":                                         {"line 1", "dsn: expected one value"},
		"kafka: sesame\n":                                {"line 1", "kafka: expected keys with values"},
		"redact: {a: sesame}\n":                          {"line 1", "redact: expected a list"},
		"dsn: sesame\ndsn: b\n":                          {"s.yaml", "dsn"},
		"- sesame\n":                                     {"line 1", "settings: expected keys with values"},
		"dsn: 'sesame\n":                                 {"s.yaml"},
		"context: prod\ncontexts: {test: {}, dev: {}}\n": {`no context "prod"`, "dev, test"},
		"redact: [card]\n":                               {"redact: expected payload.FIELD", `"card"`},
	} {
		file := write(t, filepath.Join(t.TempDir(), "s.yaml"), text)
		_, _, err := settled(t, nil, nil, "--config", file)
		if ExitCode(err) != codeUsage {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %q is not in %v", text, w, err)
			}
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: a value is shown: %v", text, err)
		}
	}
}
