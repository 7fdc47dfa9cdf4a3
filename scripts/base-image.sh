#!/usr/bin/env bash
# Makes the base of the image from Debian's packages alone, for machines that reach no registry of images.
# The result has what the Dockerfile would otherwise install itself.
#
#   scripts/base-image.sh NAME      NAME: of the image in buildah's storage, e.g. localhost/indexwright-base:bookworm
#
# Needs root, mmdebstrap and buildah (scripts/image.sh installs them). MIRROR: Debian's mirror.
set -euo pipefail
name=$1
mirror=${MIRROR:-http://deb.debian.org}
. "$(dirname "${BASH_SOURCE[0]}")/buildah.sh"

scratch=$(mktemp -d)
container=
finish() {
  [ -z "$container" ] || buildah_here rm "$container" >/dev/null
  rm -rf "$scratch"
}
trap finish EXIT

mmdebstrap --quiet --variant=essential \
  --include=ca-certificates,git,libstdc++6,skopeo,tini \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/lib/cni/*' \
  bookworm "$scratch/base.tar" \
  "deb $mirror/debian bookworm main" \
  "deb $mirror/debian bookworm-updates main" \
  "deb $mirror/debian-security bookworm-security main"

container=$(buildah_here from scratch)
buildah_here add --quiet "$container" "$scratch/base.tar" / >/dev/null
buildah_here config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd bash "$container"
buildah_here commit --quiet "$container" "$name" >/dev/null
