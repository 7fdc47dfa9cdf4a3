#!/usr/bin/env bash
# Finds the programs the project needs that are not npm packages, installs or builds what is missing,
# and links all of them into .tools/bin. Nothing is said or done when everything is there.
#
#   scripts/tools.sh            everything the tests need (both opm versions)
#   scripts/tools.sh demo       what `make demo` needs (one opm)
#
# Built binaries live outside the tree, keyed by what they are made from, so a second clone builds nothing:
#   ${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}/bin/<name>-<key>/
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}
links=$root/.tools/bin
mkdir -p "$links" "$cache/bin"

say() { printf '\033[2m[tools]\033[0m %s\n' "$*" >&2; }
fail() { printf '[tools] %s\n' "$@" >&2; exit 1; }

# --- Debian packages -----------------------------------------------------------------------------------------------
# program=package; a program that is on the PATH already is used as it is.
debian=(git=git openssl=openssl skopeo=skopeo docker-registry=docker-registry)
missing=()
for entry in "${debian[@]}"; do
  command -v "${entry%%=*}" >/dev/null 2>&1 || missing+=("${entry#*=}")
done
if [ ${#missing[@]} -gt 0 ]; then
  byhand="Install by hand: ${missing[*]} (Debian package names; a registry server is any build of github.com/distribution/distribution named docker-registry)."
  command -v apt-get >/dev/null 2>&1 || fail "missing programs and no apt-get here." "$byhand"
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "missing programs, and neither root nor sudo to install them." "$byhand"
    sudo=sudo
  fi
  say "installing ${missing[*]} (apt)"
  log=$(mktemp)
  { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "apt-get failed (log: $log)." "$byhand"; }
  rm -f "$log"
fi
for entry in "${debian[@]}"; do
  program=$(command -v "${entry%%=*}") || fail "${entry%%=*} is still not on the PATH after installing ${entry#*=}."
  ln -sfn "$program" "$links/${entry%%=*}"
done

# --- Go programs ---------------------------------------------------------------------------------------------------
# go_tool NAME MODULE_DIR CGO TAGS LDFLAGS: builds the module's `tool` lines into the cache and links them as NAME.
go_tool() {
  local name=$1 dir=$2 cgo=$3 tags=$4 ldflags=$5 key out
  command -v go >/dev/null 2>&1 || fail "Go is needed to build $name: install Go (see $dir/go.mod for the least version), https://go.dev/dl."
  key=$(cat "$dir/go.mod" "$dir/go.sum" <(go env GOVERSION GOOS GOARCH) <(echo "$cgo $tags $ldflags") | sha256sum | cut -c1-16)
  out=$cache/bin/$name-$key
  if [ ! -x "$out/$name" ]; then
    if [ "$cgo" = 1 ]; then
      command -v cc >/dev/null 2>&1 || fail "a C compiler (cc) is needed to build $name: apt-get install gcc libc6-dev."
    fi
    local began=$SECONDS partial=$cache/bin/.$name-$key.$$
    say "building $name from $(realpath --relative-to="$root" "$dir") (a few minutes, once per machine)"
    rm -rf "$partial" && mkdir -p "$partial"
    (
      while sleep 20; do say "  … still building $name, $((SECONDS - began)) s"; done
    ) & local ticker=$!
    local log=$cache/bin/$name-$key.log
    if ! (cd "$dir" && CGO_ENABLED=$cgo GOBIN=$partial GOFLAGS="-buildvcs=false -mod=readonly" \
          nice -n 10 go install -trimpath -tags "$tags" -ldflags "$ldflags" tool) >"$log" 2>&1; then
      kill "$ticker" 2>/dev/null || true
      tail -n 20 "$log" >&2
      fail "could not build $name (log: $log)." \
           "By hand: put a $name binary with SQLite support at $out/$name, or fix Go's access to the module proxy (GOPROXY)."
    fi
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    [ -x "$partial/$name" ] || mv "$partial"/* "$partial/$name"
    rm -rf "$out" && mv "$partial" "$out"
    say "built $name in $((SECONDS - began)) s"
  fi
  ln -sfn "$out/$name" "$links/$name"
}

opm() {
  go_tool "opm-$1" "$root/tools/opm/$1" 1 json1,containers_image_openpgp \
    "-s -w -X github.com/operator-framework/operator-registry/cmd/opm/version.opmVersion=$1"
}

case "${1:-all}" in
  demo) opm v1.48.0 ;;
  all) opm v1.48.0; opm v1.73.0 ;;
  *) fail "unknown set of tools: $1 (all, demo)" ;;
esac
