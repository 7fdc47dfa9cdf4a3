#!/usr/bin/env bash
# Lets the library that IIB uses for CSVs, operator-manifest 0.0.5 of PyPI, work on real bundles, so that tests can compare.
# Prints the path of a JSON file with what it found; says in one line why there is none, and exits with 1.
#
#   scripts/operator-manifest.sh BUNDLES_DIR     directory of <operator>.tar.gz (../shared/data/bundles)
#
# The library and its answers live outside the tree, and are made once for these bundles:
#   ${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}/operator-manifest/
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}/operator-manifest
packages=(operator-manifest==0.0.5 ruamel.yaml==0.18.17 six==1.17.0)
give_up() { echo "operator-manifest 0.0.5 is not to be had: $*" >&2; exit 1; }

bundles=${1:?directory of bundle archives}
[ -d "$bundles" ] || give_up "no bundles in $bundles"
key=$(cat "$here/operator-manifest.py" "$bundles"/*.tar.gz <(echo "${packages[*]}") | sha256sum | cut -c1-16)
answers=$cache/answers-$key.json
if [ ! -s "$answers" ]; then
  command -v python3 >/dev/null 2>&1 || give_up "there is no python3"
  venv=$cache/venv-$(echo "${packages[*]}" | sha256sum | cut -c1-16)
  if [ ! -e "$venv/.ready" ]; then
    rm -rf "$venv" && mkdir -p "$cache"
    python3 -m venv "$venv" >/dev/null 2>&1 || give_up "python3 cannot make a virtual environment"
    "$venv/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 15 "${packages[@]}" >/dev/null 2>&1 ||
      give_up "pip cannot install ${packages[*]}"
    touch "$venv/.ready"
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  for archive in "$bundles"/*.tar.gz; do
    mkdir -p "$work/$(basename "$archive" .tar.gz)"
    tar -xzf "$archive" -C "$work/$(basename "$archive" .tar.gz)"
  done
  nice "$venv/bin/python" "$here/operator-manifest.py" "$work" >"$answers.$$" || give_up "it failed"
  mv "$answers.$$" "$answers"
fi
echo "$answers"
