#!/bin/sh
# Usage: fuzz.sh FUZZTIME PACKAGES...
# Runs every fuzz target of the packages for FUZZTIME, two at a time, and says one line
# about each. It fails when one finds something; the input is then in testdata/fuzz of
# its package, where go test finds it from then on.
set -eu
fuzztime=$1
shift
out=$(mktemp -d)
older=
newer=
# Without a process to name, kill would be the script's last word, and an error.
trap '[ -z "$older$newer" ] || kill $older $newer 2>/dev/null || true; wait; rm -rf "$out"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cache=$(go env GOCACHE)/fuzz

# run PACKAGE DIR TEST TARGET
run() {
	started=$(date +%s)
	cd "$2"
	# Go's fuzzer sometimes takes the end of its time for a failure (golang/go#75804):
	# then it names no failing input.
	if ! "$3" -test.run='^$' -test.fuzz="^$4\$" -test.fuzztime="$fuzztime" \
		-test.parallel=1 -test.fuzzcachedir="$cache/$1" >"$3.$4.log" 2>&1 </dev/null &&
		{ grep -q 'Failing input' "$3.$4.log" || ! grep -qx ' *context deadline exceeded' "$3.$4.log"; }; then
		cat "$3.$4.log"
		echo "FAIL  $1 $4 ($(($(date +%s) - started)) s)"
		return 1
	fi
	execs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$3.$4.log" | tail -n 1)
	echo "ok    $1 $4 ($(($(date +%s) - started)) s, ${execs:-0} execs)"
}

go list -f '{{.ImportPath}} {{.Dir}}' "$@" >"$out/packages"
n=0
while read -r package dir; do
	# Which packages are worth compiling; which targets they have, the test binary tells.
	grep -qs '^func Fuzz' "$dir"/*_test.go || continue
	# Compiled once, where go test -fuzz links again for each target.
	n=$((n + 1))
	go test -c -fuzz=. -o "$out/$n.test" "$package" </dev/null
	for target in $(cd "$dir" && "$out/$n.test" -test.list='^Fuzz'); do
		run "$package" "$dir" "$out/$n.test" "$target" &
		newer=$!
		[ -z "$older" ] || wait "$older"
		older=$newer
	done
done <"$out/packages"
[ -z "$older" ] || wait "$older"
older=
newer=
