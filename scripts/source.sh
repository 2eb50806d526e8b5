#!/usr/bin/env bash
# Checks what no linter does: Go files have at most 600 lines (one concept per file), and
# goroutines are started in internal/seam only, so that the simulation can schedule them
# and each has an owner that waits for it. Tests and what runs beside the product may.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
# Also files that are not committed yet, but none that are ignored.
while read -r file; do
	[ -f "$file" ] || continue
	lines=$(wc -l <"$file")
	if [ "$lines" -gt 600 ]; then
		echo "$file: $lines lines, at most 600 are allowed" >&2
		status=1
	fi
	case $file in
	*_test.go | internal/seam/* | internal/parts/* | testutil/* | conformance/* | internal/store/storetest/* | examples/* | bench/*) continue ;;
	esac
	if grep -nE '^[[:space:]]*go (func\>|[A-Za-z_][A-Za-z0-9_.]*(\[[^]]*\])?\()' "$file" | sed "s|^|$file:|" >&2; then
		echo "$file: start goroutines through internal/seam" >&2
		status=1
	fi
done < <(git ls-files --cached --others --exclude-standard -- '*.go')
exit $status
