package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/cli"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "demo" { // a member of the demo is this very program
		os.Exit(run())
	}
	os.Exit(m.Run())
}

func execute(t *testing.T, args ...string) (out string, code, demoCode int) {
	t.Helper()
	var b bytes.Buffer
	root := command(&demoCode)
	root.SetArgs(args)
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetIn(strings.NewReader(""))
	code = cli.Execute(t.Context(), root)
	return b.String(), code, demoCode
}

// Every command has a page, and the same one each time.
func TestManual(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if out, code, _ := execute(t, "man", dir); code != 0 {
			t.Fatalf("%d: %s", code, out)
		}
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(first, name))
		again, _ := os.ReadFile(filepath.Join(second, name))
		if err != nil || !bytes.Equal(page, again) || !bytes.Contains(page, []byte(".SH NAME")) || !bytes.Contains(page, []byte(".SH EXAMPLE")) {
			t.Errorf("%s: %v\n%s", name, err, page)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(command(new(int)))
	for _, args := range [][]string{{"man"}, {"man", filepath.Join(first, "none")}} {
		if _, code, _ := execute(t, args...); code != 1 {
			t.Errorf("%q: code %d", args, code)
		}
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	out, code, demoCode := execute(t, "demo", "--events", "2000", "--orders", "100")
	if code != 0 || demoCode != 0 || !strings.Contains(out, "result: evenkeel wrong=0 lost=0 duplicate=0 stale=0 stuck=0;") {
		t.Fatalf("%d, %d: %s", code, demoCode, out)
	}
	if out, code, demoCode := execute(t, "demo", "--events", "x"); code != 0 || demoCode != 2 {
		t.Errorf("%d, %d: %s", code, demoCode, out)
	}
}
