# Two commands: `make demo` runs the flagship, `make test` proves everything.
#
#   make demo    build, install into .venv, run examples/forge on http://127.0.0.1:8000 (PORT=9000 overrides)
#   make test    every test, real programs included; prints which it exercised
#   make check   format, lint, types, layers, licences: nothing that runs the product
#   make bench   ratios to the peers of the field; writes bench/results/ and bench/RESULTS.md
#   make soak    the long versions of the fault and load tests
#   make map     the packages in the order a request travels
#   make lock    recompile requirements/*.txt from *.in

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
EDGE_SOURCES := $(shell find edge/crates -name '*.rs' -o -name '*.css' -o -name '*.html') edge/Cargo.toml edge/Cargo.lock $(wildcard edge/crates/*/Cargo.toml) edge/pyproject.toml
STAMPS := $(VENV)/.stamps
WIKI_VENV := .tools/venvs/forge-wiki

.PHONY: help demo test check bench soak map lock install edge services clean fuzz

help:
	@sed -n 's/^#   //p' Makefile

# --- installing -----------------------------------------------------------------------------------

$(STAMPS)/venv:
	@command -v $(PYTHON) >/dev/null || { echo "Mergepoint needs Python 3.11 or newer: install it, then run make again."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Mergepoint needs Python 3.11 or newer; this is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	@echo "==> making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements/forge.txt requirements/build.txt pyproject.toml
	@echo "==> installing Mergepoint and the forge's libraries"
	@$(PIP) install --require-hashes -r requirements/forge.txt
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(STAMPS)/edge: $(STAMPS)/run $(EDGE_SOURCES)
	@command -v cargo >/dev/null || { echo "Mergepoint's edge is built with cargo, which is not installed: install Rust (version 1.85 or newer), then run make again."; exit 1; }
	@echo "==> building the edge (two to four minutes the first time)"
	@$(BIN)/maturin build --quiet --release --locked --out edge/target/wheels -m edge/crates/server/Cargo.toml
	@$(PIP) install --no-deps --force-reinstall $$(ls -t edge/target/wheels/mergepoint_edge-*.whl | head -n 1)
	@touch $@

$(STAMPS)/wiki: requirements/wiki.txt $(STAMPS)/venv
	@echo "==> installing the wiki's own environment"
	@[ -x $(WIKI_VENV)/bin/python ] || $(PYTHON) -m venv $(WIKI_VENV)
	@$(WIKI_VENV)/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r requirements/wiki.txt
	@touch $@

$(STAMPS)/test: $(STAMPS)/run requirements/test.txt testkit/pyproject.toml
	@echo "==> installing the test tools"
	@$(PIP) install --require-hashes -r requirements/test.txt
	@$(PIP) install --no-build-isolation --no-deps -e . -e testkit
	@touch $@

install: $(STAMPS)/run $(STAMPS)/edge $(STAMPS)/wiki
edge: $(STAMPS)/edge

# --- running --------------------------------------------------------------------------------------

demo: install
	@$(BIN)/python examples/forge/prepare.py --quiet
	@PORT=$(PORT) exec $(BIN)/mergepoint --config examples/forge/mergepoint.toml run

# --- proving --------------------------------------------------------------------------------------

services:
	@tools/services.sh

# Tests that wait more than they compute run two at a time; those that measure load run alone.
TOGETHER := tests/test_tidy.py tests/manifest tests/edge_python tests/edge tests/cli tests/forge tests/host tests/identity tests/accounts tests/accounts_pages tests/spoofing tests/docs tests/balance tests/bus tests/bus_site tests/examples tests/tasks tests/bus_postgres tests/tasks_postgres tests/cache tests/hub tests/bus_redis tests/bus_rabbitmq tests/outbox tests/bus_nats tests/bus_neighbours tests/bus_zeromq tests/bus_xmpp tests/bus_engines tests/edge_cache tests/cache_site tests/feed tests/data tests/cache_model tests/cache_race tests/cache_history
ALONE := tests/conformance tests/bounds tests/bad_input tests/supervisor tests/neighbours tests/zero_loss tests/apps tests/identity_apps tests/browser tests/forge_identity tests/forge_tasks
PYTEST := MERGEPOINT_EDGE_BINARY=$(CURDIR)/$(BIN)/mergepoint-edge $(BIN)/python -m pytest -q -m "not soak" --timeout 300

test: install $(STAMPS)/test services
	@cd edge && cargo test --quiet --locked
ifdef TESTS
	@$(PYTEST) $(TESTS)
else
	@$(PYTEST) -n 2 --dist loadfile $(wildcard $(TOGETHER))
	@$(PYTEST) --durations 15 $(wildcard $(ALONE))
endif

check: $(STAMPS)/test
	@$(BIN)/ruff format --check --quiet . || { echo "run: .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@command -v cargo >/dev/null || { echo "cargo is needed for the edge's checks"; exit 1; }
	@cd edge && cargo fmt --all --check && cargo clippy --quiet --locked --all-targets -- -D warnings
	@$(BIN)/python tools/manifest_reference.py --check
	@$(BIN)/python tools/cli_reference.py --check
	@$(BIN)/python tools/tasks_reference.py --check
	@tools/cargo_audit.sh

bench: install $(STAMPS)/test services
	@MERGEPOINT_EDGE_BINARY=$(CURDIR)/$(BIN)/mergepoint-edge $(BIN)/python -m bench $(BENCH)

soak: install $(STAMPS)/test services
	@MERGEPOINT_EDGE_BINARY=$(CURDIR)/$(BIN)/mergepoint-edge $(BIN)/python -m pytest -q -m soak $(TESTS)

fuzz:
	@cd edge/fuzz && for t in $$(cargo fuzz list); do cargo fuzz run $$t -- -max_total_time=60; done

map:
	@$(BIN)/python tools/map.py

lock: $(STAMPS)/test
	@for f in requirements/*.in requirements/apps/*.in; do \
	  uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-header $$f -o $${f%.in}.txt; done

clean:
	@rm -rf $(VENV) .tools edge/target
