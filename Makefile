# Every target does the set-up it needs and says nothing when there is nothing to do.
.PHONY: demo test test-cluster test-gitlab lint sandbox bench bench-api bench-hostile bench-cluster bench-fragment soak setup setup-demo conformance image test-image
SHELL := /bin/bash
SANDBOX := $(or $(DIR),.sandbox)
IMAGE ?= localhost/indexwright:latest

demo: setup-demo ## one bundle from REST request to published index, then a failing run with nothing left behind
	@bin/indexwright demo

sandbox: setup-demo ## everything the service talks to, on loopback, until Ctrl-C; DIR=dir keeps its data there
	@printf '%s\n' "When it says ready, talk to it from another shell:" \
	  "  . $(SANDBOX)/env" \
	  "  curl -s \$$API_URL/api/v1/builds" \
	  "  curl -s \$$API_URL/api/v1/builds/add -H 'Content-Type: application/json' -H \"\$$API_USER_HEADER: me@EXAMPLE.COM\" \\" \
	  "    -d \"{\\\"from_index\\\": \\\"\$$FROM_INDEX\\\", \\\"bundles\\\": [\\\"\$$(bin/indexwright sandbox bundle --dir $(SANDBOX) examples/bundles/lighthouse/1.2.0 examples/lighthouse-bundle:v1.2.0)\\\"]}\"" \
	  "Ctrl-C stops everything; the data stays in $(SANDBOX)." ""
	@bin/indexwright sandbox --dir "$(SANDBOX)"

test: setup lint
	@npm exec -- vitest run

test-cluster: setup ## the same requests on real programs: Kubernetes, Tekton, Pipelines-as-Code
	@if scripts/tools.sh cluster; then npm exec -- vitest run --config vitest.cluster.config.ts; \
	elif [ -n "$$CI" ]; then exit 1; \
	else echo "[test-cluster] SKIPPED: the programs of a real cluster cannot be had here (the reason stands above)" >&2; fi

test-gitlab: setup ## the contract suite on a GitLab of yours: GITLAB_URL, GITLAB_TOKEN (environment), GITLAB_GROUP, GITLAB_HOOK_URL (docs/development.md)
	@if [ "$(origin GITLAB_TOKEN)" = "command line" ]; then \
	  echo "[test-gitlab] other users of this machine can read a token in make's arguments: put it into the environment" >&2; fi
	@npm exec -- node test/contract/gitlab/main.ts

lint: node_modules/.installed
	@npm exec -- biome check --error-on-warnings .
	@npm exec -- tsc --noEmit

soak: setup ## the long tests: the files that import test/support/soak.ts, each with all that it has
	@INDEXWRIGHT_SOAK=1 npm exec -- vitest run $$(grep -rl "support/soak.ts'" test --include='*.test.ts')

image: ## the image by buildah, without any registry; IMAGE=name, BASE_IMAGE=name
	@scripts/image.sh "$(IMAGE)"

test-image: setup image ## the image's api and worker as an arbitrary user, root file system read-only; as root, with bubblewrap
	@INDEXWRIGHT_IMAGE="$(IMAGE)" npm exec -- vitest run test/image

bench: setup ## speed as ratios against named baselines
	@npm exec -- node bench/registry.ts
	@npm exec -- node bench/api/run.ts

bench-api: node_modules/.installed ## the API alone with a million stored requests, some four minutes; REQUESTS, SECONDS, CONNECTIONS, ONLY
	@npm exec -- node bench/api/run.ts

bench-hostile: node_modules/.installed ## what hostile bodies cost the api: outcome, time, memory, and what others wait; ONLY
	@npm exec -- node bench/hostile-api.ts

bench-cluster: setup ## from the end of a PipelineRun to the request's next step, on a real cluster, some four minutes; RUNS
	@scripts/tools.sh cluster
	@npm exec -- node bench/pipeline-end.ts

bench-fragment: setup ## the longest turn of the event loop while a fragment of 20 MB is read; MEGABYTES
	@npm exec -- node bench/fragment.ts

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
