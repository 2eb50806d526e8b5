package guards_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
)

type parcel struct {
	ID        string `gorm:"primaryKey"`
	Shop      string
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

type shop struct {
	ID string `gorm:"primaryKey"`
	guards.Guarded
}

func TestScopes(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	require.NoError(t, db.AutoMigrate(&parcel{}, &shop{}))
	for _, sql := range []string{
		"INSERT INTO parcels (id, shop, ek_state) VALUES ('foreign', 's', 0), ('early', 's', 1), ('early too', 't', 1), ('live', 's', 2), ('gone', 's', 3)",
		"INSERT INTO shops (id, ek_state) VALUES ('s', 2), ('t', 1)",
	} {
		require.NoError(t, db.Exec(sql).Error)
	}
	for name, c := range map[string]struct {
		query *gorm.DB
		want  []string
	}{
		"rows that count":             {db.Scopes(guards.Live), []string{"foreign", "live"}},
		"rows whose creation is due":  {db.Scopes(guards.Placeholders), []string{"early", "early too"}},
		"with a condition":            {db.Where("shop = ?", "t").Scopes(guards.Placeholders), []string{"early too"}},
		"Or does not get around it":   {db.Where("shop = ?", "t").Or("shop = ?", "s").Scopes(guards.Live), []string{"foreign", "live"}},
		"nor around a soft delete":    {db.Scopes(guards.Live).Where("shop = ?", "t").Or("shop = ?", "s"), []string{"foreign", "live"}},
		"under an alias":              {db.Table("parcels AS p").Scopes(guards.Placeholders).Where("p.shop = 's'"), []string{"early"}},
		"of two tables, its own":      {db.Joins("JOIN shops ON shops.id = parcels.shop").Scopes(guards.Placeholders), []string{"early", "early too"}},
		"the other one has its scope": {db.Where("shop IN (?)", db.Model(&shop{}).Scopes(guards.Live).Select("id")).Scopes(guards.Placeholders), []string{"early"}},
	} {
		var rows []parcel
		require.NoError(t, c.query.Find(&rows).Error, name)
		var got []string
		for _, r := range rows {
			got = append(got, r.ID)
		}
		require.ElementsMatch(t, c.want, got, name)
	}
	var n int64
	require.NoError(t, guards.Live(db).Model(&parcel{}).Count(&n).Error, "called by itself")
	require.EqualValues(t, 2, n)
}
