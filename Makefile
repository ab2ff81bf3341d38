# Everything from nothing: `make test` and `make demo` find Python, make .venv, install the locked packages and run.
# A step that has run is not run again until requirements.lock or pyproject.toml changes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export UV_SYSTEM_CERTS := true
# Kept as bytecode, modules are compiled once; tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

# More JOBS than the two cores that all this is made for: tests wait for servers a third of their time.
VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS  := $(VENV)/.docs
UV    := $(BIN)/uv
JOBS  ?= 4
ARGS  ?=

.PHONY: help install test style types layers unit prove infra demo bench formats docs notebooks lock clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with the locked packages and this project in it

test: $(STAMP) style layers ## Check style, types and layers, and run the tests
	@$(MAKE) --jobs=2 types unit

style: $(STAMP)
	@echo '== ruff'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo 'not formatted; run: $(BIN)/ruff format .' >&2; exit 1; }

types: $(STAMP)
	@echo '== mypy'
	@$(BIN)/mypy

layers: $(STAMP)
	@echo '== import-linter'
	@$(BIN)/lint-imports --no-logo

unit: $(STAMP)
	@echo '== pytest'
	@$(BIN)/pytest -n $(JOBS) -m 'not prove and not infra and not notebooks' --cov --cov-report=term-missing:skip-covered $(ARGS)

# pytest ends with 5 where no test carries the mark: nothing to prove yet.
prove: $(STAMP) ## Run the tests that prove the promises with full counts
	@echo '== pytest -m prove'
	@$(BIN)/pytest -n $(JOBS) -m prove $(ARGS) || { code=$$?; [ $$code -eq 5 ] || exit $$code; }

# Terraform, its provider and a scanner are half a gigabyte, and pin what others pin otherwise: an environment of their own.
INFRA := $(VENV)/infra

infra: $(STAMP) $(INFRA)/.installed ## Check and apply the Terraform module, with roles enforced, in ten minutes at most
	@echo '== pytest -m infra'
	@LIGHTKEEP_INFRA=$(abspath $(INFRA)) timeout --kill-after=20 600 $(BIN)/pytest -n0 -m infra $(ARGS) tests/infra

$(INFRA)/.installed: requirements-infra.lock tests/infra/package-lock.json | $(STAMP)
	@echo '== installing into $(INFRA)'
	@rm -rf $(INFRA) && $(BIN)/python -m venv --without-pip $(INFRA)
	@$(UV) pip sync --quiet --python $(INFRA)/bin/python --require-hashes requirements-infra.lock
	@mkdir $(INFRA)/node && cp tests/infra/package.json tests/infra/package-lock.json tests/infra/.npmrc $(INFRA)/node
	@cd $(INFRA)/node && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

demo: $(STAMP) ## Go the whole way on this machine; ARGS='--url file:///tmp/archive' needs no server
	@$(BIN)/lightkeep demo $(ARGS)

bench: $(STAMP) ## Measure reading, ingest, commits and processing, side by side with others
	@$(UV) pip install --quiet --python $(BIN)/python --group bench
	@$(BIN)/python -m bench.read $(ARGS)
	@$(BIN)/python -m bench.ingest $(ARGS)
	@$(BIN)/python -m bench.commit $(ARGS)
	@$(BIN)/python -m bench.process $(ARGS)
	@$(BIN)/python -m bench.worker $(ARGS)
	@$(BIN)/python -m bench.long $(ARGS)

formats: $(STAMP) ## Write docs/formats.md from the table of formats
	@$(BIN)/python tools/formats_page.py

docs: $(DOCS) ## Build the site in docs/_build/html; its tutorials run, and every warning is an error
	@echo '== sphinx'
	@$(BIN)/python -m tools.build_site

notebooks: $(DOCS) ## Run the tutorials in JupyterLab in Chromium, in light and in dark
	@echo '== pytest -m notebooks'
	@$(BIN)/pytest -n0 -m notebooks $(ARGS) tests/docs

lock: $(STAMP) ## Resolve the dependencies anew into requirements.lock; ARGS=--upgrade takes the newest
	@$(UV) pip compile --quiet --generate-hashes --python-version 3.12 --all-extras --group dev --no-emit-index-url \
	  --no-emit-find-links --no-header $(ARGS) pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --generate-hashes --python-version 3.12 --extra worker -c requirements.lock \
	  --no-emit-index-url --no-emit-find-links --no-header $(ARGS) pyproject.toml -o requirements-worker.lock
	@$(UV) pip compile --quiet --generate-hashes --python-version 3.12 --group docs -c requirements.lock \
	  --no-emit-index-url --no-emit-find-links --no-header $(ARGS) -o requirements-docs.lock
	@$(UV) pip compile --quiet --generate-hashes --python-version 3.12 --group infra --no-emit-index-url \
	  --no-emit-find-links --no-header $(ARGS) -o requirements-infra.lock
	@! grep -nE '^--|://' requirements*.lock || { echo 'a lock must not name an index' >&2; exit 1; }

clean: ## Remove what was made here: .venv, caches, reports
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* \
	  build dist demo docs/_build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv comes from pip, at the locked version and hash; uv then installs the rest. `uv pip sync` removes what the lock does
# not name, this project too, which is why the project follows it.
$(STAMP): requirements.lock pyproject.toml tools/find-python
	@echo '== installing into $(VENV)'
	@[ -x $(BIN)/python ] && $(BIN)/python -c 'import pip' 2>/dev/null || { \
	  python=$$(bash tools/find-python); rm -rf $(VENV); "$$python" -m venv $(VENV); }
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Beside the packages of the lock, whose versions they share; `uv pip sync` takes them away, hence the order.
$(DOCS): $(STAMP) requirements-docs.lock
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-docs.lock
	@touch $@
