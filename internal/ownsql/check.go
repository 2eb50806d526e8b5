package ownsql

import (
	"fmt"
	"slices"
	"strings"
)

// RefusedError is a statement that was not let through.
type RefusedError struct{ Reason string }

func (r *RefusedError) Error() string { return "evenkeel: d.Tx refuses " + r.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// Rules say which statements are let through.
type Rules struct {
	// Postgres is for PostgreSQL's way of writing; otherwise it is SQLite's.
	Postgres bool
	// Models names the registered models by their tables, which may have a schema.
	Models map[string]string
}

// prefix begins the names of Evenkeel's own tables and savepoints.
const prefix = "evenkeel"

// What may begin a statement; in those of definitions no registered table may be named.
var (
	queries     = []string{"SELECT", "VALUES", "TABLE", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE", "EXPLAIN", "SHOW", "LOCK", "NOTIFY", "CALL"} //nolint:gochecknoglobals // a constant
	definitions = []string{"TRUNCATE", "CREATE", "ALTER", "DROP", "COMMENT", "REFRESH", "REINDEX", "ANALYZE"}                                                  //nolint:gochecknoglobals // a constant
	// beside are words that may stand between a verb and the table that it is about.
	beside = []string{"ONLY", "TABLE", "TEMP", "TEMPORARY", "UNLOGGED", "LOCAL", "GLOBAL"} //nolint:gochecknoglobals // a constant
	// clauses are words after which UPDATE begins no statement: FOR UPDATE, FOR NO KEY
	// UPDATE, DO UPDATE, ON UPDATE, THEN UPDATE.
	clauses = []string{"FOR", "KEY", "DO", "ON", "THEN"} //nolint:gochecknoglobals // a constant
)

func among(t token, words []string) bool { return slices.ContainsFunc(words, t.is) }

// Check returns a *RefusedError for SQL that a handler may not run. It reads the text alone:
// what a function, a trigger, a rule, a view or a partition writes it can't see.
func (r *Rules) Check(sql string) error {
	for _, ts := range lex(sql, r.Postgres) {
		if err := r.statement(ts); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rules) statement(ts []token) error {
	for _, t := range ts {
		if t.kind == opaque {
			return refuse(`a name that is written U&"…", which it does not read; write it plainly`)
		}
	}
	for len(ts) > 0 && ts[0].kind == mark && ts[0].text == "(" {
		ts = ts[1:]
	}
	if len(ts) == 0 {
		return nil
	}
	switch first := ts[0]; {
	case among(first, queries):
		return r.writes(ts)
	case among(first, definitions):
		return r.mentions(ts)
	case first.is("SAVEPOINT"), first.is("RELEASE"):
		return ownSavepoint(ts[1:])
	case first.is("ROLLBACK") && len(ts) > 1 && (ts[1].is("TO") || len(ts) > 2 && ts[2].is("TO")):
		return ownSavepoint(ts[2:])
	default:
		return refuse("a statement that begins with %q: it is not for the transaction of a batch, which Evenkeel begins and ends", first.text)
	}
}

// ownSavepoint checks the name of a savepoint of the user's.
func ownSavepoint(ts []token) error {
	for _, t := range ts {
		if len(t.text) >= len(prefix) && strings.EqualFold(t.text[:len(prefix)], prefix) {
			return refuse("the savepoint %s, whose name is Evenkeel's; give yours another", t.text)
		}
	}
	return nil
}

// writes checks the tables that a query writes to, also inside WITH.
func (r *Rules) writes(ts []token) error {
	for i, t := range ts {
		switch {
		case t.is("INTO"):
		case t.is("UPDATE") && (i == 0 || !among(ts[i-1], clauses)):
		case t.is("FROM") && i > 0 && ts[i-1].is("DELETE"):
		case t.is("ROLLBACK") && i > 0 && ts[i-1].is("OR"):
			return refuse("OR ROLLBACK, which would end the transaction of the batch; use OR ABORT")
		default:
			continue
		}
		if err := r.table(target(ts[i+1:])); err != nil {
			return err
		}
	}
	return nil
}

// target reads the table that follows a verb.
func target(ts []token) []string {
	if len(ts) > 1 && ts[0].is("OR") { // SQLite's UPDATE OR IGNORE
		ts = ts[2:]
	}
	for len(ts) > 0 && (among(ts[0], beside) || ts[0].kind == mark && ts[0].text == "(") {
		ts = ts[1:]
	}
	name, _ := qualified(ts)
	return name
}

// qualified reads a name and what qualifies it, and returns how many tokens it takes.
func qualified(ts []token) (parts []string, n int) {
	for n < len(ts) && ts[n].kind != mark {
		parts = append(parts, ts[n].text)
		n++
		if n+1 >= len(ts) || ts[n].kind != mark || ts[n].text != "." {
			break
		}
		n++
	}
	return parts, n
}

// mentions checks all names of a statement that defines something.
func (r *Rules) mentions(ts []token) error {
	for len(ts) > 0 {
		parts, n := qualified(ts)
		if err := r.table(parts); err != nil {
			return err
		}
		ts = ts[max(n, 1):]
	}
	return nil
}

// table refuses registered tables and Evenkeel's own. Two names are one table unless both
// have schemas that differ; case is not looked at.
func (r *Rules) table(parts []string) error {
	if len(parts) == 0 {
		return nil
	}
	name := parts[len(parts)-1]
	if lower := strings.ToLower(name); strings.HasPrefix(lower, prefix+"_") {
		return refuse("to write to %s, which is Evenkeel's own; read it, or use what the framework and the command line offer", name)
	}
	for table, model := range r.Models {
		of := strings.Split(table, ".")
		if !strings.EqualFold(of[len(of)-1], name) {
			continue
		}
		if len(of) > 1 && len(parts) > 1 && !strings.EqualFold(of[len(of)-2], parts[len(parts)-2]) {
			continue
		}
		return refuse("to write to %s, the table of the registered model %s: its rows carry clocks and are written by handlers alone; let a handler of %s write it, for this event or for one that d.Emit derives from it", table, model, model)
	}
	return nil
}
