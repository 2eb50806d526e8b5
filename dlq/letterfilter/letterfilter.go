// Package letterfilter chooses dead letters by an expression in CEL, the Common Expression
// Language (https://cel.dev), over the letter and its JSON payload:
//
//	letter.attempts >= 3 && payload.total > 100
//
// It is apart from package dlq since CEL is large, and a service that only consumes has no
// use for it.
package letterfilter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// The bounds of what an expression may cost. They are generous for anything that a person
// writes, and end what would run for minutes or take the memory.
const (
	maxExpression = 16 << 10  // bytes
	maxCost       = 1_000_000 // CEL's units, for one letter
	interruptAt   = 1000      // steps of a comprehension between looks whether to stop
)

// Filter is a compiled expression. It may be used by many goroutines.
type Filter struct {
	program cel.Program
	text    string
}

// SyntaxError says what is wrong with an expression.
type SyntaxError struct {
	Expression string
	// Line and Column are where, in characters, the first is 1.
	Line, Column int
	Text         string
}

// Error points at the place.
func (e *SyntaxError) Error() string {
	line := e.Expression
	if lines := strings.Split(line, "\n"); e.Line >= 1 && e.Line <= len(lines) {
		line = lines[e.Line-1]
	}
	where := fmt.Sprintf("column %d", e.Column)
	if e.Line > 1 {
		where = fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	}
	return fmt.Sprintf("%s: %s\n  %s\n  %s^", where, e.Text, strings.ReplaceAll(line, "\t", " "), strings.Repeat(" ", max(e.Column-1, 0)))
}

// Compile reads an expression. What it may name is told by [Fields]; now is what the name
// now stands for. Errors are [*SyntaxError].
func Compile(expression string, now time.Time) (*Filter, error) {
	if len(expression) > maxExpression {
		return nil, &SyntaxError{Expression: "", Line: 1, Column: 1, Text: fmt.Sprintf("the expression has %d bytes, expected at most %d", len(expression), maxExpression)}
	}
	options := []cel.EnvOption{
		cel.Variable("payload", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Constant("now", cel.TimestampType, timestamp(now)),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpression),
	}
	for i := range fields {
		options = append(options, cel.Variable(prefix+fields[i].name, fields[i].kind.cel()))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("the environment of expressions: %w", err)
	}
	tree, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, newSyntaxError(expression, issues)
	}
	if t := tree.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, &SyntaxError{Expression: expression, Line: 1, Column: 1, Text: fmt.Sprintf("expected something that is true or false, found a value of type %s", t)}
	}
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptAt))
	if err != nil {
		return nil, &SyntaxError{Expression: expression, Line: 1, Column: 1, Text: err.Error()}
	}
	return &Filter{program: program, text: expression}, nil
}

const undeclared = "undeclared reference to '"

// nameStart is where the name with dots begins that column is in: CEL points at a dot.
func nameStart(line []rune, column int) int {
	column = min(column, len(line))
	for column > 0 && (line[column-1] == '.' || line[column-1] == '_' || unicode.IsLetter(line[column-1]) || unicode.IsDigit(line[column-1])) {
		column--
	}
	return column
}

// newSyntaxError tells the first mistake; the others are often its consequences.
func newSyntaxError(expression string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	text := first.Message
	if rest, ok := strings.CutPrefix(text, undeclared); ok {
		name, _, _ := strings.Cut(rest, "'")
		text = "there is no " + name
		if name == "letter" || strings.HasPrefix(name, prefix) {
			text = "a letter has no field of this name"
		}
		text += "; expected payload, headers, now, or letter. and one of " + strings.Join(Fields(), ", ")
	}
	column := max(first.Location.Column(), 0)
	if lines := strings.Split(expression, "\n"); strings.HasPrefix(first.Message, undeclared) && first.Location.Line() <= len(lines) {
		column = nameStart([]rune(lines[max(first.Location.Line(), 1)-1]), column)
	}
	return &SyntaxError{Expression: expression, Line: max(first.Location.Line(), 1), Column: column + 1, Text: text}
}

// String returns the expression.
func (f *Filter) String() string { return f.text }

// UnansweredError says that a letter has not what the expression asks for, or that its
// answer would cost too much.
type UnansweredError struct {
	ID  string
	Err error
}

// Error tells the letter.
func (e *UnansweredError) Error() string { return fmt.Sprintf("letter %s: %v", e.ID, e.Err) }

// Unwrap returns what CEL said.
func (e *UnansweredError) Unwrap() error { return e.Err }

// Match reports whether the expression holds for a letter that was read with its record. An
// error is a [*UnansweredError], e.g. where the payload has no such field, or ctx's.
func (f *Filter) Match(ctx context.Context, l *dlq.Letter) (bool, error) {
	out, _, err := f.program.ContextEval(ctx, &activation{letter: l})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return false, &UnansweredError{ID: l.ID, Err: readable(err)}
	}
	chosen, ok := out.Value().(bool)
	if !ok {
		return false, &UnansweredError{ID: l.ID, Err: fmt.Errorf("expected true or false, found a value of type %s", out.Type().TypeName())}
	}
	return chosen, nil
}

// readable is CEL's error in one line.
func readable(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if !utf8.ValidString(text) {
		return errors.New("the expression failed")
	}
	return errors.New(text)
}
