# `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
QUICKSTART_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --constraint constraints.txt --editable
RUN_INSTALLED := $(VENV)/.installed-to-run
DEV_INSTALLED := $(VENV)/.installed-to-develop

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart demo browser test soak lint format types build install install-dev clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables: PYTHON (default python3), VENV (.venv), PYTEST_ARGS, QUICKSTART_ARGS"

quickstart: $(RUN_INSTALLED) ## install, then run both systems on MovieLens 100K and recommend films to user 42
	@$(BIN)/shortlist quickstart $(QUICKSTART_ARGS)

demo: quickstart ## the same, then serve what it made: the page is http://127.0.0.1:8000/
	@echo "open http://127.0.0.1:8000/ (Ctrl-C ends it)"
	@$(BIN)/shortlist serve models/ml-100k

browser: ## Debian's Chromium, which the tests of the page drive; installed if it is missing (needs root)
	@command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } > /dev/null || { echo "make: Chromium could not be installed; the tests of the page need it (apt-get install chromium, as root)"; exit 1; }
	@echo "$$(chromium --version --no-sandbox 2> /dev/null)"

test: $(DEV_INSTALLED) ## install with the developer tools, then run all tests (PYTEST_ARGS="-k word" for some)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(DEV_INSTALLED) ## the long tests that `make test` leaves out: processes killed over and over
	$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

lint: $(DEV_INSTALLED) ## formatting, lint and import rules; changes nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

format: $(DEV_INSTALLED) ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

types: $(DEV_INSTALLED) ## mypy, strict
	$(BIN)/mypy

build: $(DEV_INSTALLED) ## the wheel, into dist/
	rm -rf dist
	$(PIP) wheel -qq --no-deps --wheel-dir dist .
	@ls dist

install: $(RUN_INSTALLED) ## only what is needed to train, recommend and serve

install-dev: $(DEV_INSTALLED) ## the same with the developer tools

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "make: '$(PYTHON)' is not installed; Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>&1): make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "make: '$(PYTHON)' lacks the modules venv and ensurepip (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

$(RUN_INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing shortlist, its trainers and its server into $(VENV) (about 1.5 GB on disk; minutes the first time)"
	@$(INSTALL) '.[train,serve]'
	@touch $@

$(DEV_INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing shortlist, its trainers and the developer tools into $(VENV) (about 2.5 GB on disk; minutes the first time)"
	@$(INSTALL) '.[dev]'
	@touch $(RUN_INSTALLED) $@
