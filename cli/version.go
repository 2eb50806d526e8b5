package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what version shows; its names are stable.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// modulePath is where the build information finds this project in another's binary.
const modulePath = "github.com/evenkeel-go/evenkeel"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show which build this is",
		Long:    "Show the version of Evenkeel, the revision that it was built from, and Go's.",
		Example: "  evenkeel version -o json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := a.format(c)
			if err != nil {
				return err
			}
			b := thisBuild(debug.ReadBuildInfo())
			if format != formatTable {
				return writeJSON(c.OutOrStdout(), format, b)
			}
			revision := b.Revision
			if revision == "" {
				revision = "unknown"
			}
			if b.Modified {
				revision += " (modified)"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "evenkeel %s\nrevision %s\n%s %s\n", b.Version, revision, b.Go, b.Platform)
			return err
		},
	}
}

// thisBuild reads the build information. In a binary of a user's Evenkeel is a dependency
// and the revision is the user's, so it isn't told.
func thisBuild(info *debug.BuildInfo, ok bool) build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !ok {
		return b
	}
	if info.Main.Path != modulePath {
		for _, m := range info.Deps {
			if m.Path == modulePath {
				b.Version = m.Version
			}
		}
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
