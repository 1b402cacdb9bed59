#!/bin/sh
# Usage: tick.sh WHAT COMMAND...
# Runs COMMAND and says every 20 s that it is still at it: the go command is silent
# for minutes while it compiles, which looks like a hang.
what=$1
shift
started=$(date +%s)
echo "$what ..."
# The sleep must not hold stdout open: who reads it through a pipe would wait for it.
# And nothing may tick on after a kill that no trap sees.
while sleep 20 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
	echo "  ... $what ($(($(date +%s) - started)) s)"
done &
ticker=$!
trap 'kill "$ticker" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$@"
