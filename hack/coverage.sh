#!/bin/sh
# Usage: coverage.sh PROFILE MINIMUM PACKAGE...
# Fails where fewer than MINIMUM % of a PACKAGE's statements ran. A profile of several
# test binaries names a statement once for each: it ran if any of them ran it.
set -eu
profile=$1 minimum=$2
shift 2
awk -v minimum="$minimum" -v wanted="$*" '
	NR > 1 {
		package = $1
		sub(/\/[^\/]*$/, "", package)
		if (!($1 in size)) { size[$1] = $2; total[package] += $2 }
		if ($3 > 0 && !($1 in ran)) { ran[$1]; covered[package] += $2 }
	}
	END {
		n = split(wanted, packages, " ")
		for (i = 1; i <= n; i++) {
			p = packages[i]
			percent = total[p] ? 100 * covered[p] / total[p] : 0
			low = percent < minimum
			printf "%-50s %5.1f %%%s\n", p, percent, low ? "  below " minimum " %" : ""
			if (low) failed = 1
		}
		exit failed
	}' "$profile"
