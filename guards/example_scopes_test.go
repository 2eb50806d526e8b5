package guards_test

import (
	"fmt"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
)

// A query of the service's own says which rows it means: those whose creating event has
// come, or those that still wait for it.
func ExampleLive() {
	type Order struct {
		ID string `gorm:"primaryKey"`
		guards.Guarded
	}
	db, err := gorm.Open(sqlite.Open(":memory:"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(db.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.Scopes(guards.Live).Select("id").Find(&[]Order{}) }))
	fmt.Println(db.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.Scopes(guards.Placeholders).Select("id").Find(&[]Order{}) }))
	// Output:
	// SELECT `id` FROM `orders` WHERE `orders`.`ek_state` IN (0, 2)
	// SELECT `id` FROM `orders` WHERE `orders`.`ek_state` = 1
}
