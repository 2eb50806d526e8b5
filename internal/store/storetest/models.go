package storetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Order is the plain model of the suite.
type Order struct {
	ID        string `gorm:"primaryKey"`
	Status    string
	Note      *string
	Total     int64
	PaidAt    *time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

// Line belongs to an Order, by a foreign key, and sorts before it.
type Line struct {
	ID      int64 `gorm:"primaryKey;autoIncrement:false"`
	OrderID *string
	Order   *Order
	Text    string `gorm:"type:varchar(5)"`
	guards.Guarded
}

// TableName makes children come before parents in the order of names.
func (Line) TableName() string { return "a_lines" }

// Color speaks for itself in upper case.
type Color string

// Value is driver.Valuer's.
func (c Color) Value() (driver.Value, error) {
	switch c {
	case "bad":
		return nil, errColor
	case "worse":
		panic("no color at all")
	}
	return strings.ToUpper(string(c)), nil
}

// Scan is sql.Scanner's.
func (c *Color) Scan(v any) error {
	if fmt.Sprintf("%s", v) == "UNREADABLE" {
		panic("nobody can read this color")
	}
	switch s := v.(type) {
	case string:
		*c = Color(strings.ToLower(s))
	case []byte:
		*c = Color(strings.ToLower(string(s)))
	default:
		return fmt.Errorf("a color is text, not %T", v)
	}
	return nil
}

var errColor = errors.New("no such color")

// UUID is like the common packages' type: bytes in Go, text for the driver.
type UUID [16]byte

// Value is driver.Valuer's.
func (u UUID) Value() (driver.Value, error) {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16]), nil
}

// Scan is sql.Scanner's.
func (u *UUID) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		b, isBytes := v.([]byte)
		if !isBytes {
			return fmt.Errorf("a UUID is text, not %T", v)
		}
		s = string(b)
	}
	b := u[:0]
	if n, err := fmt.Sscanf(strings.ReplaceAll(s, "-", ""), "%32x", &b); err != nil || n != 1 {
		return fmt.Errorf("UUID %q: %w", s, err)
	}
	copy(u[:], b)
	return nil
}

// Point is stored as JSON by GORM's serializer.
type Point struct{ X, Y int }

// Everything has a field of each Go type.
type Everything struct {
	ID        int64 `gorm:"primaryKey;autoIncrement:false"`
	S         string
	Named     Status
	I         int
	I8        int8
	I16       int16
	I32       int32
	I64       int64
	U         uint
	U8        uint8
	U16       uint16
	U32       uint32
	F32       float32
	F64       float64
	B         bool
	T         time.Time
	Bytes     []byte
	PS        *string
	PI        *int64
	PU        *uint32
	PF        *float64
	PB        *bool
	PT        *time.Time
	Color     Color
	PColor    *Color
	UUID      UUID
	PUUID     *UUID
	Point     Point             `gorm:"serializer:json"`
	PPoint    *Point            `gorm:"serializer:json"`
	Tags      []string          `gorm:"serializer:json"`
	Attrs     map[string]string `gorm:"serializer:json"`
	Unix      int64             `gorm:"serializer:unixtime;type:timestamp"`
	Loose     string            `evenkeel:"unmanaged"`
	Embedded  `gorm:"embedded;embeddedPrefix:in_"`
	MadeSec   int64 `gorm:"autoCreateTime"`
	MadeMilli int64 `gorm:"autoCreateTime:milli"`
	UpNano    int64 `gorm:"autoUpdateTime:nano"`
	guards.Guarded
}

// Embedded shows that embedded structs work.
type Embedded struct {
	City string
	Zip  *int
}

// Status is a string with a name.
type Status string

type payload struct{}

func nothing[E any](context.Context, *handlers.Delivery[payload, E]) error { return nil }

// Migrate makes the suite's tables.
func migrate(db *gorm.DB) error {
	return db.AutoMigrate(&Order{}, &Line{}, &Everything{})
}

// wire makes the suite's models.
func wire(namer schema.Namer) ([]*handlers.Model, error) {
	return wireBy(namer, guards.Timestamp())
}

func wireBy(namer schema.Namer, stamper guards.Stamper) ([]*handlers.Model, error) {
	reg := handlers.NewRegistry(stamper)
	handlers.Set(reg, "order", nothing[Order], handlers.Creates(), handlers.Writes("Status", "Note", "Total", "PaidAt"))
	handlers.Set(reg, "line", nothing[Line], handlers.Creates())
	handlers.Set(reg, "everything", nothing[Everything], handlers.Creates())
	w, err := reg.Wire(namer)
	if err != nil {
		return nil, err
	}
	return w.Models, nil
}
