# Every habit of the repository is a target here; `make` lists them. Each sets up what it needs: a virtual environment
# in .venv and the locked dependencies, once, and again when a lock changes; test-system has two more beside it.
# CI (.ci/run) calls these same targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.9
# Passed on to the tool: make test ARGS="-k money -x"
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The stamps say which lock each virtual environment holds.
RUNTIME := .venv/.outlay-runtime
DEV := .venv/.outlay-dev
MLFLOW := .venv-mlflow/.outlay-mlflow
# What mlflow depends on and its tracking server never imports: 460 of 825 MiB.
MLFLOW_WITHOUT := matplotlib pyarrow scikit-learn scipy skops
PEERS := .venv-peers/.outlay-peers
# What litellm[proxy] depends on and a proxy with neither of their services never imports: 190 of 820 MiB.
PEERS_WITHOUT := polars polars-runtime-32 pyroscope-io
CHROMIUM := /usr/bin/chromium
PROMETHEUS := /usr/bin/prometheus
SYSTEMD := /usr/bin/systemd-analyze

.PHONY: help setup demo test test-system lint fix docs bench lock build clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUNTIME): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Outlay needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@if [ -x $(BIN)/python ] && ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "The virtual environment in .venv is broken or older than Python 3.11. Remove it: make clean" >&2; exit 1; fi
	@echo "Setting up .venv from requirements.lock (once, about a minute) ..." >&2
	@$(PYTHON) -m venv .venv
	@$(PIP) install -qq --require-hashes -r requirements.lock
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	@echo "Adding the development tools from requirements-dev.lock ..." >&2
	@$(PIP) install -qq --require-hashes -r requirements-dev.lock
	@touch $@

# Not in .venv: what mlflow pins would fight what Outlay pins. Made anew, so that nothing of an older lock stays.
$(MLFLOW): requirements-mlflow.lock | $(DEV)
	@echo "Setting up .venv-mlflow from requirements-mlflow.lock (once, about a minute) ..." >&2
	@$(BIN)/python -m venv --clear --without-pip .venv-mlflow
	@$(PIP) --python .venv-mlflow/bin/python install -qq --no-deps --require-hashes -r requirements-mlflow.lock
	@touch $@

# Neither in .venv: LiteLLM pins much of what Outlay does.
$(PEERS): requirements-peers.lock | $(DEV)
	@echo "Setting up .venv-peers from requirements-peers.lock (once, a minute or two) ..." >&2
	@$(BIN)/python -m venv --clear --without-pip .venv-peers
	@$(PIP) --python .venv-peers/bin/python install -qq --no-deps --require-hashes -r requirements-peers.lock
	@touch $@

setup: $(DEV) ## Make .venv with the locked dependencies and tools (the other targets do it by themselves)

demo: $(RUNTIME) ## Run the main job on the samples that ship with Outlay
	@$(BIN)/outlay demo $(ARGS)

test: $(DEV) ## Run all tests but those that need other programs
	@$(BIN)/python -m pytest -q -m "not system" $(ARGS)

test-system: $(DEV) $(MLFLOW) $(PEERS) ## Run the tests that need a browser, systemd or real servers (Prometheus, MLflow, LiteLLM, Envoy); installs what is missing
	@if [ ! -x $(CHROMIUM) ] || [ ! -x $(PROMETHEUS) ] || [ ! -x $(SYSTEMD) ]; then \
	  if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing chromium, prometheus and systemd with apt-get ..." >&2; \
	    apt-get -qq update; \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends \
	      chromium fonts-dejavu-core prometheus systemd >/dev/null; \
	  else \
	    echo "The system tests need $(CHROMIUM), $(PROMETHEUS) and $(SYSTEMD). Install them first:" >&2; \
	    echo "  sudo apt-get install chromium fonts-dejavu-core prometheus systemd" >&2; exit 1; \
	  fi; \
	fi
	@$(BIN)/python -m pytest -q -m system $(ARGS)

lint: $(DEV) ## Check style, types and the direction of imports; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

fix: $(DEV) ## Format, and fix what the linter can fix by itself
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/ruff check .

docs: $(DEV) ## Check the documentation: every example in it is run
	@$(BIN)/python -m pytest -q tests/docs $(ARGS)

bench: $(DEV) ## Measure speed and memory; prints the figures
	@$(BIN)/python bench/run.py $(ARGS)

# The locks hold for every platform and every Python from 3.11 on. The second takes its versions from the first; the third
# and the fourth are mlflow's and the other gateways' alone. Versions already locked stay; to take newer ones: make lock ARGS=--upgrade, or
# ARGS="--upgrade-package duckdb".
COMPILE = .tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-emit-find-links --no-config
OWN = pyproject.toml --extra all
lock: ## Write the four locks anew from pyproject.toml
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(COMPILE) $(OWN) --group build --output-file requirements.lock $(ARGS)
	@$(COMPILE) $(OWN) --group dev --constraint requirements.lock --output-file requirements-dev.lock $(ARGS)
	@$(COMPILE) --group mlflow --excludes <(printf '%s\n' $(MLFLOW_WITHOUT)) --output-file requirements-mlflow.lock $(ARGS)
	@$(COMPILE) --group peers --excludes <(printf '%s\n' $(PEERS_WITHOUT)) --output-file requirements-peers.lock $(ARGS)

build: $(RUNTIME) ## Build the wheel and the source archive into dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist

clean: ## Remove the virtual environments, caches and what was built
	@rm -rf .venv .venv-mlflow .venv-peers .tools dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
