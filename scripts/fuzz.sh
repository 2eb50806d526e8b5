#!/usr/bin/env bash
# Runs each fuzz target of the module for the time given, one after the other: go test
# takes one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?usage: scripts/fuzz.sh TIME, such as 20s}

found=0
while IFS=: read -r file target; do
	package=./$(dirname "$file")
	found=$((found + 1))
	echo "== $package $target, $time"
	go test "$package" -run='^$' -fuzz="^$target\$" -fuzztime="$time"
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^\./||; s/:func /:/' | sort)
echo "$found fuzz targets ran for $time each"
