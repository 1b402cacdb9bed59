#!/bin/sh
# Builds the browser test and runs it on bin/demo, with a Chromium that is installed
# first where it is missing and may be: Debian's package, as root.
set -eu
cd "$(dirname "$0")/../.."

need_browser() {
	case "$*" in *-chromium*) return 1 ;; esac
	! command -v chromium >/dev/null
}

if need_browser "$@"; then
	if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
		echo "chromium is not in the PATH: install it, or name another by ARGS='-chromium /path/to/it'" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	install="apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core"
	log=bin/browser-install.log
	mkdir -p bin
	hack/tick.sh "installing chromium (see $log)" sh -c "{ $install || { apt-get update -q && $install; }; } >$log 2>&1" || {
		tail -n 20 "$log" >&2
		exit 1
	}
fi

hack/tick.sh "building the browser test" go build -C hack/browser -o "$PWD/bin/browser-test" .
exec bin/browser-test "$@"
