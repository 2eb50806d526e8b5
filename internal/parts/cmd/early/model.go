//go:build unix

package main

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Mode is what the events come before.
type Mode string

// The modes.
const (
	placeholders Mode = "placeholder" // the event that creates the row
	gaps         Mode = "gap"         // the event with the number 1
)

// Early is the row that waits for its creating event.
type Early struct {
	ID   string `gorm:"primaryKey;type:text"`
	Note string
	guards.Guarded
}

// Numbered is the row of a stream of numbers.
type Numbered struct {
	ID   string `gorm:"primaryKey;type:text"`
	Note string
	guards.Guarded
}

// Progress is what a run leaves for the next one on its database.
type Progress struct {
	Mode  Mode `gorm:"primaryKey;type:text"`
	Grown int  // how many there were when the sweep began
}

type note struct {
	Note string `json:"note"`
}

// registry is the handlers of a mode; wait bounds a gap.
func registry(m Mode, wait time.Duration) *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	if m == gaps {
		handlers.Modify(reg, "told", func(_ context.Context, d *handlers.Delivery[note, Numbered]) error {
			d.Entity.Note = d.Payload.Note
			return nil
		}, guards.Sequence(guards.GapTimeout(wait), guards.OnGap(guards.GapSkip)), handlers.Writes("Note"))
		return reg
	}
	tell := func(_ context.Context, d *handlers.Delivery[note, Early]) error {
		d.Entity.Note = d.Payload.Note
		return nil
	}
	handlers.Set(reg, "created", tell, handlers.Creates(), handlers.Writes("Note"))
	handlers.Set(reg, "told", tell, handlers.Writes("Note"))
	return reg
}
