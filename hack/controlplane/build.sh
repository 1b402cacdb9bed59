#!/bin/sh
# Builds etcd, etcdutl, kube-apiserver and kubectl into the folder $1, once a version: a
# stamp names what the binaries were built from, so an up-to-date folder costs nothing.
# The flags are those of every other build of the project, so that the Kubernetes
# libraries are compiled once for all of them.
set -eu
out=$1
cd "$(dirname "$0")"

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
stamp="$version $(go version | cut -d' ' -f3) $(cat go.mod go.sum ./*/main.go build.sh | cksum | cut -d' ' -f1)"
mkdir -p "$out"
if [ "$(cat "$out/.built-from" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

echo "Building etcd, etcdutl, kube-apiserver and kubectl $version from source into $out (about ten minutes the first time, once)."
rm -f "$out/.built-from"

# Without a version, clients fail to parse the server's.
minor=${version#v1.}
minor=${minor%%.*}
pkg=k8s.io/component-base/version
ldflags="-s -w -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=$minor"

started=$(date +%s)
for name in etcd etcdutl kube-apiserver kubectl; do
	CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$out/$name" "./$name" &
	build=$!
	while kill -0 "$build" 2>/dev/null; do
		sleep 1
		elapsed=$(($(date +%s) - started))
		if [ $((elapsed % 15)) -eq 0 ]; then
			echo "  ... compiling $name (${elapsed} s)"
		fi
	done
	wait "$build"
	echo "  built $name ($(($(date +%s) - started)) s)"
done
echo "$stamp" >"$out/.built-from"
