package handlers

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Order is the model of these tests, with a field of every sort.
type Order struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	PlacedAt *time.Time
	PaidAt   *time.Time
	Total    int64

	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt
	Note      string `evenkeel:"unmanaged"`
	Seen      int    `gorm:"->"`
	Lines     []Line
	guards.Guarded
}

type Line struct {
	ID      int64 `gorm:"primaryKey"`
	OrderID string
}

// Payment is a second model.
type Payment struct {
	ID     int64 `gorm:"primaryKey"`
	Amount int64
	guards.Guarded
}

type Placed struct {
	Customer string
	Total    int64
}

func does[P, E any](context.Context, *Delivery[P, E]) error { return nil }

var (
	onOrder   = does[Placed, Order]
	onPayment = does[Placed, Payment]
	noStatus  = func(*Order) {}
)

func wire(t *testing.T, r *Registry) *Wiring {
	t.Helper()
	w, err := r.Wire(schema.NamingStrategy{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mistaken checks the whole list: the words are all that a user sees.
func mistaken(t *testing.T, r *Registry, want ...string) {
	t.Helper()
	_, err := r.Wire(schema.NamingStrategy{})
	var w *WiringError
	if !errors.As(err, &w) {
		t.Fatalf("got %v, expected a *WiringError", err)
	}
	if !slices.Equal(w.Mistakes, want) {
		t.Fatalf("\n got: %s\nwant: %s", strings.Join(w.Mistakes, "\n      "), strings.Join(want, "\n      "))
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

func names(cs []*Column) (out []string) {
	for _, c := range cs {
		out = append(out, c.GoName())
	}
	return out
}

// uuid is a key of bytes with a text, as the popular packages have it.
type uuid [4]byte

func (u uuid) Value() (driver.Value, error) { return hex.EncodeToString(u[:]), nil }

func (u *uuid) Scan(v any) error {
	text, ok := v.(string)
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != len(u) {
		return fmt.Errorf("%v is no uuid", v)
	}
	copy(u[:], b)
	return nil
}
