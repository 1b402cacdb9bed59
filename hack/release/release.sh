#!/bin/sh
# Usage: release.sh OUT
# Makes a release of the commit that is checked out: programs, manifest, lists of what
# is in them, and checksums. Twice, from two clones in two folders: whoever builds the
# same commit with the same Go gets the same bytes. Refuses what is not committed, and
# (unless ALLOW_UNCHECKED=1) what could not be checked for known vulnerabilities.
#   IMAGE     what install.yaml runs; default mobile-money-operator:<version>
#   PLATFORMS default "linux/amd64 linux/arm64"
set -eu
out=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
platforms=${PLATFORMS:-linux/amd64 linux/arm64}
tools=$root/bin/tools
kubectl=${KUBEBUILDER_ASSETS:-$root/bin/controlplane}/kubectl

# Nothing of whoever builds changes what is built.
unset GOOS GOARCH GOAMD64 GOARM64 GOEXPERIMENT GODEBUG
export CGO_ENABLED=0 GOWORK=off GOFLAGS='-trimpath -mod=readonly -buildvcs=true' LC_ALL=C

test -z "$(git status --porcelain)" || {
	echo "There is something that is not committed; a release is that of a commit." >&2
	exit 1
}
version=$(git describe --tags --always --match 'v*')

go mod verify

code=0
hack/release/vuln.sh "$tools/govulncheck" bin/vuln.txt . ./providers/simulator/cmd/simulator || code=$?
if [ $code -eq 4 ] && [ "${ALLOW_UNCHECKED:-}" = 1 ]; then
	echo "Going on all the same, because ALLOW_UNCHECKED=1."
elif [ $code -ne 0 ]; then
	echo "No release: $(cat bin/vuln.txt)" >&2
	exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build FOLDER: from a clone of its own, into FOLDER.out.
build() {
	git clone --quiet --no-local "$root" "$1"
	git -C "$1" checkout --quiet --detach "$(git rev-parse HEAD)"
	mkdir "$1.out"
	for platform in $platforms; do
		for program in manager=. simulator=./providers/simulator/cmd/simulator; do
			GOOS=${platform%/*} GOARCH=${platform#*/} go build -C "$1" -ldflags '-s -w' \
				-o "$1.out/${program%%=*}-${platform%/*}-${platform#*/}" "${program#*=}"
		done
	done
}
build "$work/one"
build "$work/another-folder"
for file in "$work"/one.out/*; do
	cmp "$file" "$work/another-folder.out/$(basename "$file")"
done
GOFLAGS='-trimpath -buildvcs=false' go run ./hack/release "$work"/one.out/*

rm -rf "$out"
mkdir -p "$out"
mv "$work"/one.out/* "$out/"
for file in "$out"/*; do
	"$tools/cyclonedx-gomod" bin -json -std -noserial -notimestamp -output "$file.cdx.json" "$file"
done

# The manifest of that commit, with the image of that version.
image=${IMAGE:-mobile-money-operator:$version}
"$kubectl" kustomize "$work/one/config/default" >"$work/install.yaml"
grep -q 'image: mobile-money-operator:latest$' "$work/install.yaml"
sed "s|image: mobile-money-operator:latest\$|image: $image|" "$work/install.yaml" >"$out/install.yaml"

(cd "$out" && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS && sha256sum --quiet -c SHA256SUMS)
echo "$version is in $out:"
cat "$out/SHA256SUMS"
cat bin/vuln.txt
