#!/usr/bin/env bash
# Finds the programs the project needs that are not npm packages, installs or builds what is missing,
# and links all of them into .tools/bin. Nothing is said or done when everything is there.
#
#   scripts/tools.sh            everything the tests need (both opm versions, catalog-oracle, gitlab-judge, yaml-oracle)
#   scripts/tools.sh demo       what `make demo` needs (one opm)
#   scripts/tools.sh cluster    what a real cluster needs: etcd and Kubernetes, Tekton, Pipelines-as-Code, bubblewrap
#   scripts/tools.sh opm        both opm versions and nothing else (the image)
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
[ "${1:-all}" != cluster ] || debian+=(bwrap=bubblewrap)
[ "${1:-all}" != opm ] || debian=()
[ "${1:-all}" != all ] || debian+=(rabbitmq-server=rabbitmq-server)
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
  # Programs for tests, not services of this machine: without this their packages start them.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo install -m 755 /dev/stdin "$policy"
    trap '$sudo rm -f "$policy"' EXIT
  fi
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
# go_programs SET MODULE_DIR CGO TAGS LDFLAGS PROGRAM...: builds the module's `tool` lines (or, where it has a main.go,
# that) into the cache as one folder of programs, and leaves the folder's path in $out. Where the module has a `folder-from`
# file (`MODULE FOLDER`, `config` when there is no second word), that folder of the named module is copied beside the
# programs, so that nothing needs Go or its caches at run time.
go_programs() {
  local set=$1 dir=$2 cgo=$3 tags=$4 ldflags=$5 key sources=("$2/go.mod" "$2/go.sum") name=$1 what=tool
  shift 5
  command -v go >/dev/null 2>&1 || fail "Go is needed to build $set: install Go (see $dir/go.mod for the least version), https://go.dev/dl."
  [ ! -e "$dir/main.go" ] || { sources+=("$dir/main.go"); what=.; }
  [ ! -e "$dir/folder-from" ] || sources+=("$dir/folder-from")
  key=$(cat "${sources[@]}" <(go env GOVERSION GOOS GOARCH) <(echo "$cgo $tags $ldflags") | sha256sum | cut -c1-16)
  out=$cache/bin/$set-$key
  [ ! -d "$out" ] || return 0
  if [ "$cgo" = 1 ]; then
    command -v cc >/dev/null 2>&1 || fail "a C compiler (cc) is needed to build $set: apt-get install gcc libc6-dev."
  fi
  # One build of a set at a time, also for two clones: the second finds what the first has built.
  exec 9>"$cache/bin/.$set.lock"
  if command -v flock >/dev/null 2>&1; then
    flock -n 9 || { say "$set is being built by somebody else on this machine: waiting"; flock 9; }
    if [ -d "$out" ]; then exec 9>&-; return 0; fi
  fi
  local began=$SECONDS partial=$cache/bin/.$set-$key.$$ log=$cache/bin/$set-$key.log
  say "building $set from $(realpath --relative-to="$root" "$dir") (a few minutes, once per machine)"
  rm -rf "$partial" && mkdir -p "$partial"
  (
    while sleep 20; do say "  … still building $set, $((SECONDS - began)) s"; done
  ) 9>&- & local ticker=$!
  if ! {
    (cd "$dir" && CGO_ENABLED=$cgo GOBIN=$partial GOFLAGS="-buildvcs=false -mod=readonly" \
      nice -n 19 go install -trimpath -tags "$tags" -ldflags "$ldflags" "$what") &&
    if [ -e "$dir/folder-from" ]; then copy_folder "$dir" "$partial"; fi
  } >"$log" 2>&1; then
    kill "$ticker" 2>/dev/null || true
    tail -n 20 "$log" >&2
    fail "could not build $set (log: $log)." \
         "By hand: put the programs ($*) into $out, or fix Go's access to the module proxy (GOPROXY)."
  fi
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  # `go install` names a program after its package; a set of one program has the name asked for.
  [ $# != 1 ] || [ -x "$partial/$1" ] || mv "$partial"/* "$partial/$1"
  for name in "$@"; do
    [ -x "$partial/$name" ] || fail "$set was built, but without $name (log: $log)."
  done
  rm -rf "$out" && mv "$partial" "$out"
  exec 9>&-
  say "built $set in $((SECONDS - began)) s"
}

# copy_folder MODULE_DIR TO: copies the folder of another module that MODULE_DIR/folder-from names.
copy_folder() {
  local module folder from
  read -r module folder <"$1/folder-from"
  folder=${folder:-config}
  from=$(cd "$1" && go list -m -f '{{.Dir}}' "$module") && [ -d "$from/$folder" ] &&
    cp -r "$from/$folder" "$2/$folder" && chmod -R u+w "$2/$folder"
}

opm() {
  go_programs "opm-$1" "$root/tools/opm/$1" 1 json1,containers_image_openpgp \
    "-s -w -X github.com/operator-framework/operator-registry/cmd/opm/version.opmVersion=$1" "opm-$1"
  ln -sfn "$out/opm-$1" "$links/opm-$1"
}

# Tests compare our reading of YAML with that of opm's libraries.
yaml_oracle() {
  go_programs yaml-oracle "$root/tools/yaml-oracle" 0 "" "-s -w" yaml-oracle
  ln -sfn "$out/yaml-oracle" "$links/yaml-oracle"
}

# The parts of a real cluster are folders, not single programs: .tools/kubernetes, .tools/tekton, .tools/pac.
cluster() {
  local version=v1.36.3 of=k8s.io/component-base/version
  go_programs kubernetes "$root/tools/cluster" 0 "" \
    "-s -w -X $of.gitVersion=$version -X $of.gitMajor=1 -X $of.gitMinor=36" testcluster
  ln -sfn "$out" "$root/.tools/kubernetes"
  ln -sfn "$out/testcluster" "$links/kubectl"
  go_programs tekton "$root/tools/tekton" 0 "" "-s -w" controller entrypoint resolvers webhook
  ln -sfn "$out" "$root/.tools/tekton"
  go_programs pac "$root/tools/pac" 0 "" "-s -w" \
    pipelines-as-code-controller pipelines-as-code-watcher pipelines-as-code-webhook
  ln -sfn "$out" "$root/.tools/pac"
}

# The types of a GitLab client, and the answers it has recorded: .tools/gitlab-judge.
gitlab_judge() {
  go_programs gitlab-judge "$root/tools/gitlab-judge" 0 "" "-s -w" gitlab-judge
  ln -sfn "$out" "$root/.tools/gitlab-judge"
}

# What tests ask how opm reads a catalog, many catalogs in one process.
catalog_oracle() {
  # As opm is built, so that what its build has compiled is there.
  go_programs catalog-oracle "$root/tools/catalog-oracle" 1 json1,containers_image_openpgp "-s -w" catalog-oracle
  ln -sfn "$out/catalog-oracle" "$links/catalog-oracle"
}

case "${1:-all}" in
  demo) opm v1.48.0 ;;
  opm) opm v1.48.0; opm v1.73.0 ;;
  all)
    opm v1.48.0; opm v1.73.0; yaml_oracle; catalog_oracle
    # Tests alone need it: without the modules they are skipped and say so, but not in CI.
    if ! (gitlab_judge); then
      [ -z "${CI:-}" ] || exit 1
      say "the tests that need gitlab-judge are skipped"
    fi ;;
  cluster) cluster ;;
  *) fail "unknown set of tools: $1 (all, demo, opm, cluster)" ;;
esac
