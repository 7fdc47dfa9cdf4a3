# Every target does the set-up it needs and says nothing when there is nothing to do.
.PHONY: demo test lint sandbox bench setup setup-demo conformance
SHELL := /bin/bash

demo: setup-demo ## one bundle from REST request to published index, then a failing run with nothing left behind
	@bin/indexwright demo

sandbox: setup-demo ## everything the service talks to, on loopback, until Ctrl-C
	@bin/indexwright sandbox --seed --dir "$${DIR:-.sandbox}"

test: setup lint
	@npm exec -- vitest run

lint: node_modules/.installed
	@npm exec -- biome check --error-on-warnings .
	@npm exec -- tsc --noEmit

bench: setup
	@npm exec -- vitest bench --run --dir bench

conformance: setup ## SCENARIOS=DIR: answers recorded from IIB against ours
	@npm exec -- node scripts/conformance.ts $(SCENARIOS)

setup: node_modules/.installed
	@scripts/tools.sh all

setup-demo: node_modules/.installed
	@scripts/tools.sh demo

node_modules/.installed: package.json package-lock.json
	@echo "[npm] installing packages" >&2
	@npm ci --no-progress
	@touch $@
