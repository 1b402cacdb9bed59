#!/bin/sh
# Usage: fuzz.sh FUZZTIME PACKAGES...
# Runs every fuzz target of the packages for FUZZTIME, one after the other, and says
# one line about each. It fails at the first that finds something; the input is then in
# testdata/fuzz of its package, where go test finds it from then on.
set -eu
fuzztime=$1
shift
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cache=$(go env GOCACHE)/fuzz

go list -f '{{.ImportPath}} {{.Dir}}' "$@" >"$out/packages"
while read -r package dir; do
	# Which packages are worth compiling; which targets they have, the test binary tells.
	grep -qs '^func Fuzz' "$dir"/*_test.go || continue
	# Compiled once, where go test -fuzz links again for each target.
	go test -c -fuzz=. -o "$out/test" "$package" </dev/null
	targets=$(cd "$dir" && "$out/test" -test.list='^Fuzz')
	for target in $targets; do
		started=$(date +%s)
		if ! (cd "$dir" && "$out/test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$fuzztime" \
			-test.parallel=2 -test.fuzzcachedir="$cache/$package") >"$out/log" 2>&1 </dev/null; then
			cat "$out/log"
			echo "FAIL  $package $target ($(($(date +%s) - started)) s)"
			exit 1
		fi
		execs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$out/log" | tail -n 1)
		echo "ok    $package $target ($(($(date +%s) - started)) s, ${execs:-0} execs)"
	done
done <"$out/packages"
