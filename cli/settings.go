package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

const (
	settingsName = "evenkeel.yaml"
	maxSettings  = 1 << 20
	// variablePrefix and a key in capitals is the variable that sets it.
	variablePrefix = "EVENKEEL_"
)

// setting is what a flag, a variable of the environment and a key of evenkeel.yaml may all
// say: the flag has the key's name, and every command that has the flag takes it.
type setting struct {
	key  string
	kind settingKind
}

type settingKind int

const (
	oneWord  settingKind = iota
	wordList             // all sources add up
	wordMap              // of names to values; the nearest source wins for each name
)

func settingsKnown() []setting {
	return []setting{{"as", oneWord}, {"brokers", oneWord}, {"dsn", oneWord}, {"group", oneWord}, {"kafka", wordMap}, {"output", oneWord}, {"redact", wordList}}
}

// said is what one source says of the settings; a map is a list of name=value.
type said map[string][]string

// settle gives the flags of c that were not given what the environment says, else the
// service that the command is mounted in, else evenkeel.yaml. They still count as not
// given, so that no default chooses letters that are to be changed.
func (a *app) settle(c *cobra.Command) error {
	file, name, err := a.settingsFile()
	if err != nil {
		return err
	}
	sources := []struct {
		of   func(key string) string
		says said
	}{
		{variable, a.variables()},
		{func(string) string { return "the service's configuration" }, a.mounted()},
		{func(key string) string { return "the key " + key + " in " + name }, file},
	}
	a.from = map[string]string{}
	for _, s := range settingsKnown() {
		f := c.Flags().Lookup(s.key)
		if f == nil {
			continue
		}
		for _, source := range sources {
			values := source.says[s.key]
			if len(values) == 0 {
				continue
			}
			if s.kind != oneWord {
				all, ok := f.Value.(pflag.SliceValue)
				if !ok {
					return fmt.Errorf("the flag --%s of %s takes one value, expected a list", s.key, c.CommandPath())
				}
				// The first come first, so that the nearest source has the last word.
				if err := all.Replace(append(slices.Clone(values), all.GetSlice()...)); err != nil {
					return usage(c, "%s: %v", source.of(s.key), err)
				}
				continue
			}
			if !f.Changed && a.from[s.key] == "" {
				if err := f.Value.Set(values[0]); err != nil {
					return usage(c, "%s: %v", source.of(s.key), err)
				}
				a.from[s.key] = source.of(s.key)
			}
		}
	}
	if a.hide, err = parseRedaction(a.redact); err != nil {
		return usage(c, "%v", err)
	}
	return nil
}

// source says where a setting comes from, for messages.
func (a *app) source(key string) string {
	if from := a.from[key]; from != "" {
		return from
	}
	return "--" + key
}

func variable(key string) string { return variablePrefix + strings.ToUpper(key) }

func (a *app) variables() said {
	s := said{}
	for _, known := range settingsKnown() {
		value := a.getenv(variable(known.key))
		switch {
		case value == "":
		case known.kind == wordList:
			s[known.key] = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '\n' })
		case known.kind == wordMap: // values may have commas
			s[known.key] = strings.FieldsFunc(value, func(r rune) bool { return r == '\n' })
		default:
			s[known.key] = []string{value}
		}
	}
	return s
}

// mounted is what the service's configuration says.
func (a *app) mounted() said {
	s := said{}
	if a.config == nil {
		return s
	}
	if a.config.Brokers != "" {
		s["brokers"] = []string{a.config.Brokers}
	}
	if a.config.Group != "" {
		s["group"] = []string{a.config.Group}
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Kafka)) {
		s["kafka"] = append(s["kafka"], fmt.Sprintf("%s=%v", name, a.config.Kafka[name]))
	}
	return s
}

// settingsFile reads the file of settings, if there is one, and the context that is asked
// for.
func (a *app) settingsFile() (said, string, error) {
	path, found := a.configPath()
	if path == "" {
		if a.contextAsked() != "" {
			return nil, "", &problem{code: codeUsage, what: fmt.Sprintf("the context %q is asked for, and there is no %s", a.contextAsked(), settingsName), next: "name the file with --config"}
		}
		return nil, "", nil
	}
	file, err := os.Open(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, "", &problem{code: codeUsage, what: fmt.Sprintf("can't read the settings in %s: %v", path, err), next: "check the path and who may read it", err: err}
	}
	defer file.Close() //nolint:errcheck // it was only read
	s, err := a.readSettings(file, path, found)
	return s, path, err
}

// configPath is the file of settings: the one that is named, else the one in the working
// directory (found), else the user's own.
func (a *app) configPath() (path string, found bool) {
	if a.settings != "" {
		return a.settings, false
	}
	if named := a.getenv(variable("config")); named != "" {
		return named, false
	}
	if _, err := os.Stat(settingsName); !errors.Is(err, fs.ErrNotExist) {
		return settingsName, true
	}
	home := a.getenv("XDG_CONFIG_HOME")
	if home == "" && a.getenv("HOME") != "" {
		home = filepath.Join(a.getenv("HOME"), ".config")
	}
	if home == "" {
		return "", false
	}
	path = filepath.Join(home, "evenkeel", settingsName)
	if _, err := os.Stat(path); err != nil {
		return "", false
	}
	return path, false
}

func (a *app) contextAsked() string {
	if a.context != "" {
		return a.context
	}
	return a.getenv(variable("context"))
}

func (a *app) readSettings(file fs.File, path string, found bool) (said, error) {
	root, err := yamlFile(file)
	if err != nil {
		return nil, &problem{code: codeUsage, what: fmt.Sprintf("the settings in %s can't be read: %v", path, err), next: "write it as YAML, e.g. dsn: " + dsnForms, err: err}
	}
	r := settingsReader{path: path, found: found}
	s := r.block(root, true)
	if r.err != nil {
		return nil, r.err
	}
	asked := a.contextAsked()
	if asked == "" {
		asked = r.context
	}
	if asked == "" {
		return s, nil
	}
	chosen, ok := r.contexts[asked]
	if !ok {
		return nil, &problem{code: codeUsage, what: fmt.Sprintf("%s has no context %q", path, asked), next: "it has " + orNone(strings.Join(slices.Sorted(maps.Keys(r.contexts)), ", "))}
	}
	for key, values := range chosen {
		// What hides in all contexts hides in each of them.
		if key == "redact" || key == "kafka" {
			values = append(slices.Clone(s[key]), values...)
		}
		s[key] = values
	}
	return s, nil
}

// settingsReader reads a file, up to its first mistake. No value is ever quoted: it could
// be a password.
type settingsReader struct {
	path     string
	found    bool // by chance, in the working directory
	context  string
	contexts map[string]said
	err      error
}

func (r *settingsReader) bad(n *yaml.Node, format string, args ...any) {
	if r.err == nil {
		r.err = &problem{
			code: codeUsage, what: fmt.Sprintf("%s, line %d: ", r.path, n.Line) + fmt.Sprintf(format, args...),
			next: "expected keys are " + strings.Join(settingNames(), ", ") + ", and at the top context and contexts",
		}
	}
}

func settingNames() []string {
	var names []string
	for _, s := range settingsKnown() {
		names = append(names, s.key)
	}
	return names
}

// members calls do for each key of a mapping, once each.
func (r *settingsReader) members(n *yaml.Node, what string, do func(key, value *yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.bad(n, "%s: expected keys with values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content) && r.err == nil; i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			r.bad(key, "the key %q stands twice", key.Value)
			return
		}
		seen[key.Value] = true
		do(key, n.Content[i+1])
	}
}

// block reads the settings at the top, or of one context.
func (r *settingsReader) block(n *yaml.Node, top bool) said {
	s := said{}
	r.members(n, "settings", func(key, value *yaml.Node) {
		if top && key.Value == "context" {
			r.context = r.word(value, "context")
			return
		}
		if top && key.Value == "contexts" {
			r.contexts = map[string]said{}
			r.members(value, "contexts", func(name, block *yaml.Node) { r.contexts[name.Value] = r.block(block, false) })
			return
		}
		i := slices.IndexFunc(settingsKnown(), func(s setting) bool { return s.key == key.Value })
		if i < 0 {
			r.bad(key, "there is no key %q", key.Value)
			return
		}
		switch settingsKnown()[i].kind {
		case oneWord:
			s[key.Value] = []string{r.word(value, key.Value)}
		case wordList:
			if value.Kind == yaml.ScalarNode {
				s[key.Value] = []string{r.word(value, key.Value)}
				return
			}
			if value.Kind != yaml.SequenceNode {
				r.bad(value, "%s: expected a list", key.Value)
				return
			}
			for _, item := range value.Content {
				s[key.Value] = append(s[key.Value], r.word(item, key.Value))
			}
		case wordMap:
			r.members(value, key.Value, func(name, value *yaml.Node) {
				if r.found && runsCode(name.Value) {
					r.bad(name, "%s: %s makes the client run other programs' code, and this file was found by chance; give --config %s if you trust it", key.Value, name.Value, r.path)
				}
				s[key.Value] = append(s[key.Value], name.Value+"="+r.word(value, name.Value))
			})
		}
	})
	return s
}

// runsCode are librdkafka's properties that load libraries or start programs. A file that
// lies in a directory must not do that to whoever stands there.
func runsCode(property string) bool {
	return slices.Contains([]string{"plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.location", "ssl.providers"}, property)
}

func (r *settingsReader) word(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.bad(n, "%s: expected one value", key)
	}
	return n.Value
}
