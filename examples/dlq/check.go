package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// The tables, as the oracle calls them.
const (
	orders        = "orders"
	customerTable = "customers"
	parcels       = "parcels"
)

var errWrong = errors.New("the rows are not what the events say")

// check compares the database with what the log says, as the oracle reads it, which shares no
// code with the service or with Evenkeel.
func check(ctx context.Context, db *gorm.DB, at stage, out io.Writer) error {
	from := time.Now() //nolint:forbidigo // no bound is near
	var log []event.Record
	for r, err := range framework.ReadTopic(ctx, at.brokers, at.topic, nil) {
		if err != nil {
			return err
		}
		log = append(log, *r)
	}
	o := &oracle.Oracle{
		Parse: parse,
		Tables: []oracle.Table{
			{Name: orders, Set: []string{"customer", "total", "address", "paid", "closed"}},
			{Name: customerTable, Unclocked: []string{"orders", "points"}, NoCreator: true},
			{Name: parcels, Unclocked: []string{"route"}, NoCreator: true},
		},
		From: from, To: from,
	}
	want, err := o.Predict(log)
	if err != nil {
		return err
	}
	actual := oracle.Actual{Rows: map[string]map[string]oracle.Row{}}
	if actual.Rows[orders], err = oracle.ReadRows[Order](ctx, db); err != nil {
		return err
	}
	if actual.Rows[customerTable], err = oracle.ReadRows[Customer](ctx, db); err != nil {
		return err
	}
	if actual.Rows[parcels], err = oracle.ReadRows[Parcel](ctx, db); err != nil {
		return err
	}
	if actual.Letters, actual.Parked, actual.Positions, err = oracle.ReadGroup(ctx, db, at.group); err != nil {
		return err
	}
	report := want.Compare(actual)
	fmt.Fprintf(out, "%d events; %d of %d rows are as they must be, %d are wrong\n", len(log), report.Right, report.Rows, report.Wrong)
	if !report.Clean() {
		fmt.Fprintln(out, report)
		return errWrong
	}
	return nil
}

func parse(r *event.Record) (oracle.Event, error) {
	var e struct {
		ID, Source, Type, Key string
		Time                  time.Time
		Version               *int64
		Data                  struct {
			Customer, Postcode, Country, Place string
			Amount                             int64
			Total                              json.Number
			Coupon                             *struct{ Factor int64 }
		}
	}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return oracle.Event{}, err
	}
	out := oracle.Event{Type: e.Type, Source: e.Source, ID: e.ID, At: e.Time, Version: e.Version}
	u := oracle.Unit{Table: orders, Key: e.Key}
	switch e.Type {
	case "order.placed":
		cents, err := json.Number(strings.Replace(e.Data.Total.String(), ".", "", 1)).Int64()
		if err != nil {
			return out, err
		}
		u.Creates, u.Facts = true, map[string]any{"customer": e.Data.Customer, "total": cents}
	case "order.paid":
		u.Facts = map[string]any{"paid": true}
		points := e.Data.Amount / 100
		if e.Data.Coupon != nil {
			points *= e.Data.Coupon.Factor
		}
		out.Units = append(out.Units, oracle.Unit{Table: customerTable, Key: e.Data.Customer, Rule: oracle.Once, Change: func(row map[string]any) {
			n, _ := row["orders"].(int)
			sum, _ := row["points"].(int64)
			row["orders"], row["points"] = n+1, sum+points
		}})
	case "order.moved":
		u.Facts = map[string]any{"address": e.Data.Country + "-" + e.Data.Postcode}
	case "order.closed":
		u.Facts = map[string]any{"closed": true}
	case "parcel.scanned":
		u = oracle.Unit{Table: parcels, Key: e.Key, Rule: oracle.Sequence, Change: func(row map[string]any) {
			route, _ := row["route"].(string)
			row["route"] = strings.TrimPrefix(route+" > "+e.Data.Place, " > ")
		}}
	}
	out.Units = append(out.Units, u)
	return out, nil
}

// aside are the tables that may change when nothing happens to any event: what was done, by
// whom, and who is there.
var aside = []string{"evenkeel_audit", "evenkeel_jobs", "evenkeel_job_letters", "evenkeel_members", "evenkeel_claims"} //nolint:gochecknoglobals // a list

// fingerprint is a hash over the tables that are named, or over all but those.
func fingerprint(ctx context.Context, db *gorm.DB, tables []string, out io.Writer) error {
	db = db.WithContext(ctx)
	if len(tables) == 0 {
		all, err := db.Migrator().GetTables()
		if err != nil {
			return err
		}
		tables = slices.DeleteFunc(all, func(t string) bool { return slices.Contains(aside, t) || strings.HasPrefix(t, "sqlite_") })
	}
	slices.Sort(tables)
	sum := sha256.New()
	rows := 0
	for _, table := range tables {
		var all []map[string]any
		if err := db.Table(table).Find(&all).Error; err != nil {
			return err
		}
		lines := make([]string, len(all))
		for i, row := range all {
			lines[i] = fmt.Sprintf("%s %#v\n", table, row) // maps print in the order of their keys
		}
		slices.Sort(lines)
		for _, line := range lines {
			if _, err := io.WriteString(sum, line); err != nil {
				return err
			}
		}
		rows += len(lines)
	}
	fmt.Fprintf(out, "%x, %d rows\n", sum.Sum(nil)[:8], rows)
	return nil
}

// verdicts counts what had no effect, by why.
func verdicts(ctx context.Context, db *gorm.DB, out io.Writer) error {
	var counts []struct {
		Reason string
		N      int64
	}
	err := db.WithContext(ctx).Raw("SELECT reason, count(*) AS n FROM evenkeel_verdicts GROUP BY reason ORDER BY reason").Scan(&counts).Error
	for _, c := range counts {
		fmt.Fprintln(out, c.N, c.Reason)
	}
	return err
}
