#!/usr/bin/env bash
# Builds the image (Dockerfile) with buildah and what this machine has: opm from the cache of scripts/tools.sh, packages
# by npm, the base from BASE_IMAGE or, unless that is given, from Debian's packages. Prints its name and size.
#
#   scripts/image.sh [NAME]         NAME: localhost/indexwright:latest unless given
#   BASE_IMAGE=registry/name@sha256:… scripts/image.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=${1:-localhost/indexwright:latest}
. "$root/scripts/buildah.sh"

say() { printf '\033[2m[image]\033[0m %s\n' "$*" >&2; }
fail() { printf '[image] %s\n' "$@" >&2; exit 1; }

missing=()
for program in buildah mmdebstrap; do command -v "$program" >/dev/null 2>&1 || missing+=("$program"); done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || fail "missing: ${missing[*]} (Debian packages of these names)."
  say "installing ${missing[*]} (apt)"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
mkdir -p "$images"

base=${BASE_IMAGE:-}
if [ -z "$base" ]; then
  base=localhost/indexwright-base:$(sha256sum "$root/scripts/base-image.sh" | cut -c1-12)
  if ! buildah_here inspect --type image "$base" >/dev/null 2>&1; then
    say "making the base from Debian's packages (a minute or two, once)"
    "$root/scripts/base-image.sh" "$base"
  fi
fi

# What the stages `opm` and `packages` would fetch and build, as an image they can start from.
parts=localhost/indexwright-parts:latest
scratch=$(mktemp -d)
container=
finish() {
  [ -z "$container" ] || buildah_here rm "$container" >/dev/null
  buildah_here rmi "$parts" >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap finish EXIT
"$root/scripts/tools.sh" opm
mkdir -p "$scratch/opt/opm" "$scratch/packages"
cp -L "$root"/.tools/bin/opm-* "$scratch/opt/opm/"
cp "$root"/{package.json,package-lock.json,.npmrc} "$scratch/packages/"
say "installing the packages of production"
"$root/scripts/production-packages.sh" "$scratch/packages"
container=$(buildah_here from "$base")
buildah_here add --quiet "$container" "$scratch" / >/dev/null
buildah_here commit --quiet "$container" "$parts" >/dev/null

say "building $name"
buildah_here bud --quiet --format oci --pull-never --layers=false --squash \
  --build-arg "BASE_IMAGE=$base" --build-arg "GO_IMAGE=$parts" --build-arg "NODE_IMAGE=$parts" \
  --tag "$name" "$root" >/dev/null
say "$name: $(buildah_here images --format '{{.Size}}' "$name")"
