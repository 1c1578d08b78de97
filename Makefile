# Thin: every target is a line into a tool. The environment is made by stamps, so an interrupted step is repeated.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode
LOCK := $(UV) pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet
# Two at a time, a folder's tests together: they share servers and a built warehouse. Then those that need the machine,
# also when one of the first failed.
BESIDE := $(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report= --cov-fail-under=0
ALONE := $(BIN)/python -m pytest --cov --cov-append --cov-report=term
ARGS ?=

WEB := serving/web
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/public -type f ! -name schema.d.ts) tests/serving/openapi.json \
	$(addprefix $(WEB)/,index.html package.json tsconfig.json vite.config.ts)
# A Node of the environment, where one had to be brought, goes before the machine's.
NPM := cd $(WEB) && PATH="$(CURDIR)/$(BIN):$$PATH" npm --silent
NODE_WILL_DO := const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-full chaos check bench env dev jars web up down lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: jars web ## the whole way once, then serve; ARGS="--exit" ends after the summary
	@$(BIN)/music demo $(ARGS)

test: dev jars web ## the suite on real parts, but for what takes long; ARGS go to pytest
	$(BESIDE) -m "not alone and not heavy" $(ARGS); beside=$$?; $(ALONE) -m "alone and not heavy" $(ARGS) && exit $$beside

test-full: dev jars web ## all of it, on an S3 server as well; needs Go
	@$(BIN)/python -m tests.fixtures.s3
	$(BESIDE) -m "not alone and not heavy" $(ARGS); beside=$$?; $(ALONE) -m "alone or heavy" $(ARGS) && exit $$beside

chaos: dev jars ## kill every part under load and count; ARGS="--seed 1 --kills 50 --engine spark"
	$(BIN)/python -m tests.chaos.run $(ARGS)

check: dev $(WEB)/node_modules/.installed ## lint, format, types, import contracts, SQL, definitions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_project
	$(BIN)/dagster definitions validate --log-level warning
	$(NPM) run check

bench: jars ## measure the streams against bare code; ARGS="--mode latency" and others
	@$(BIN)/music bench stream $(ARGS)

up: jars web ## start the embedded stack
	@$(BIN)/music up

down: .venv/.runtime ## stop it
	@$(BIN)/music down

env: .venv/.runtime ## make the environment

dev: .venv/.dev ## make it with the tools of a developer

jars: .venv/.runtime ## fetch the pinned jars
	@$(BIN)/music jars

web: $(WEB)/dist/index.html ## build the web page

$(WEB)/dist/index.html: $(WEB)/node_modules/.installed $(WEB_SOURCES)
	@echo "web page: $(WEB)/dist"
	@$(NPM) run build

$(WEB)/node_modules/.installed: .venv/.node $(WEB)/package-lock.json $(WEB)/.npmrc
	@echo "web page: packages of $(WEB)/package-lock.json"
	@$(NPM) ci
	@touch $@

.venv/.node: .venv/.bootstrap requirements-web.lock
	@command -v npm >/dev/null && node -e '$(NODE_WILL_DO)' \
		|| { echo "environment: Node of requirements-web.lock"; $(INSTALL) --require-hashes -r requirements-web.lock; }
	@touch $@

.venv/.bootstrap: requirements-bootstrap.lock
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Python 3.11 is needed: install it or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "environment: .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock
	@touch $@

.venv/.runtime: .venv/.bootstrap requirements.lock requirements-build.lock pyproject.toml
	@echo "environment: packages of requirements.lock"
	@$(INSTALL) --require-hashes -r requirements.lock --build-constraints requirements-build.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.lock
	@echo "environment: packages of requirements-dev.lock"
	@$(INSTALL) --require-hashes -r requirements-dev.lock --build-constraints requirements-build.lock
	@touch $@

# The developer's set is resolved first and bounds the other: what is tested is what runs.
lock: .venv/.bootstrap ## resolve every lock file anew
	$(LOCK) --group bootstrap -o requirements-bootstrap.lock
	$(LOCK) --group build -o requirements-build.lock
	$(LOCK) --group web -o requirements-web.lock
	$(LOCK) pyproject.toml --group build --group dev -o requirements-dev.lock
	$(LOCK) pyproject.toml --group build -c requirements-dev.lock -o requirements.lock

clean: ## stop the stack and remove its state, the environment and every cache
	@if test -x $(BIN)/music; then $(BIN)/music down; fi
	rm -rf .music .venv .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info dbt_project/target dbt_project/logs $(WEB)/dist $(WEB)/node_modules
