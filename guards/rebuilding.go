package guards

// RebuildingBit is added to a row's ek_state while framework.Rebuild makes the row anew
// from the log. Such a row is half built: [Live] and [Placeholders] leave it out, and it is
// neither swept nor purged.
const RebuildingBit = 8

// Rebuilding reports whether the row is being rebuilt, and what it is apart from that.
func (e Existence) Rebuilding() (state Existence, yes bool) {
	return e &^ RebuildingBit, e >= 0 && e&RebuildingBit != 0
}
