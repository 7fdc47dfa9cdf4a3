#!/usr/bin/env bash
# Installs clients that others have written in Python, as they are on PyPI, into a virtual environment outside the tree
# and prints its path. Says nothing else when it is there already. Ends with 3 when there is no Python or PyPI cannot be
# reached.
#
#   scripts/python-clients.sh iib       IIB's own clients
#   scripts/python-clients.sh gitlab    python-gitlab
#   scripts/python-clients.sh hooks     pydantic-gitlab-webhooks
#
# The dependency of IIB's clients on the C module `kerberos` is left out: it needs Kerberos' headers and a KDC. Its place
# takes test/clients/support/python/kerberos.py, so that the clients' own Kerberos code runs.
set -euo pipefail

case "${1:-}" in
  iib)
    packages=(iiblib==7.4.0 pubtools-iib==0.26.0)
    needed=(requests==2.34.2 tenacity==9.2.1 pushcollector==1.3.0 setuptools==65.5.0) ;;
  gitlab)
    packages=(python-gitlab==8.6.0)
    needed=(requests==2.34.2 requests-toolbelt==1.0.0) ;;
  hooks)
    packages=(pydantic-gitlab-webhooks==0.3.54)
    needed=(pydantic==2.13.5 email-validator==2.3.0 python-dateutil==2.9.0.post0) ;;
  *) echo "[python-clients] which: iib, gitlab or hooks" >&2; exit 2 ;;
esac

cache=${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}
key=$(printf '%s\n' "${packages[@]}" "${needed[@]}" | sha256sum | cut -c1-16)
venv=$cache/python-clients/$key

if [ ! -e "$venv/installed" ]; then
  command -v python3 >/dev/null 2>&1 || { echo "[python-clients] there is no python3" >&2; exit 3; }
  mkdir -p "$cache/python-clients"
  partial=$(mktemp -d "$cache/python-clients/partial.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  # Made where it will stay: its scripts name their interpreter by its whole path.
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 || { echo "[python-clients] python3 cannot make virtual environments" >&2; exit 3; }
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 20)
  if ! { "${pip[@]}" "${needed[@]}" && "${pip[@]}" --no-deps "${packages[@]}"; } >"$partial/log" 2>&1; then
    tail -n 3 "$partial/log" >&2
    rm -rf "$venv"
    echo "[python-clients] PyPI cannot be reached, or has no ${packages[*]}" >&2
    exit 3
  fi
  touch "$venv/installed"
fi
echo "$venv"
