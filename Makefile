# What one does with embudo. `make help` lists it.
#
# Everything runs on the project's own Node (the npm package `node`), which comes first on the path; the
# machine's Node only runs npm. Extra arguments: make test ARGS="test/unit -t money"

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
bin := $(CURDIR)/node_modules/.bin
export PATH := $(bin):$(PATH)
ARGS ?=

# Only on a terminal; a sub-make is told by the one that calls it.
export colour ?= $(MAKE_TERMOUT)

stamp := node_modules/.installed
step = @printf '$(if $(colour),\033[2m%s\033[0m,%s)\n' '$(1)';

.DEFAULT_GOAL := help
.PHONY: up test soak spec check client bench install clean help format format-check types rules unused

up: install ## start everything on this machine and serve until Ctrl-C
	@bin/requirements java mvn
	@exec bin/embudo up $(ARGS)

test: install ## run every test, on real Kafka, registry, Postgres and ClickHouse
	@bin/requirements java mvn
	@$(bin)/vitest run $(ARGS)

soak: install ## the long forms of the kill and rebuild tests
	@bin/requirements java mvn
	@EMBUDO_TEST_SOAK=1 $(bin)/vitest run test/faults/whole-program test/faults/interleavings.test.ts $(ARGS)

spec: install ## check the model of the ClickHouse sink, and that it fails without any one of its rules
	@$(bin)/node test/spec/main.ts

check: install ## formatting, lint, types, who may import whom, unused code, generated files
	@$(MAKE) --keep-going format-check types rules unused && printf 'all checks passed\n'

client: install ## build the client for browsers and Node into dist, as a package of its own
	@$(bin)/node src/client/package/build.ts

bench: install ## measure throughput and latency beside a baseline of the same run
	@bin/requirements java mvn
	@$(bin)/node test/bench/main.ts $(ARGS)

install: $(stamp) ## install the npm packages where they are not current

format: install ## format every file and mend what the linter can mend
	@$(bin)/biome check --write $(ARGS)

clean: ## remove what can be made again; data under .embudo stay
	rm -rf node_modules coverage dist .embudo-test

help:
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Not `npm ci`: it refuses where a registry does not have the binaries of platforms that are not this one.
$(stamp): package-lock.json package.json
	@bin/requirements node npm
	$(call step,installing the npm packages) npm install --no-save --loglevel=error --no-progress
	@touch $@

format-check:
	$(call step,formatting and lint) $(bin)/biome ci --error-on-warnings --colors=$(if $(colour),force,off)

types:
	$(call step,types) $(bin)/tsc --noEmit --pretty $(if $(colour),true,false)

rules:
	$(call step,who may import whom$(comma) names$(comma) generated files) $(bin)/vitest run --project source test/architecture/imports.test.ts test/architecture/tree.test.ts --reporter=agent

unused:
	$(call step,unused files$(comma) exports and packages) $(bin)/knip --no-progress

comma := ,
