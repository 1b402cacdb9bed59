#!/bin/sh
# Usage: vuln.sh GOVULNCHECK RESULT PACKAGE...
# Looks in Go's vulnerability database (GOVULNDB names another) for what the packages
# call. RESULT becomes one line that says how it went. Exit codes:
#   0  nothing was found
#   3  something was found
#   4  NOT CHECKED: the database could not be reached
#   1  NOT CHECKED: anything else; the alarm itself is broken
set -u
tool=$1
result=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$result")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

tell() {
	echo "$1" >"$result"
	echo
	echo "########################################################################"
	echo "# $1"
	echo "########################################################################"
}

# A check that finds nothing may be one that looks nowhere: it has to find a made-up
# vulnerability first.
(cd "$here/alarm" && "$tool" -db "file://$here/alarm/db" .) >"$log" 2>&1
if [ $? -ne 3 ]; then
	cat "$log"
	tell "known vulnerabilities: NOT CHECKED: the alarm does not find a made-up one"
	exit 1
fi

"$tool" "$@" >"$log" 2>&1
code=$?
cat "$log"
if [ $code -eq 0 ]; then
	echo "known vulnerabilities: none" >"$result"
elif [ $code -eq 3 ]; then
	tell "known vulnerabilities: FOUND"
elif grep -q '^govulncheck: fetching vulnerabilities: ' "$log"; then
	tell "known vulnerabilities: NOT CHECKED: the database cannot be reached"
	code=4
else
	tell "known vulnerabilities: NOT CHECKED: govulncheck failed"
	code=1
fi
exit $code
