# make run    set everything up and start the web page with the shipped bundles
# make test   set everything up and pass the tests
# make help   the other targets
PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
HASHED := $(PIP) --require-hashes --no-deps --requirement
ITSELF := $(PIP) --no-deps --no-build-isolation --editable .
.DEFAULT_GOAL := help

.PHONY: help run test suite test-peers check docs lock sbom soak fuzz format bench growth kill-nine gate bundles best leaderboard choices evidence paper notebooks translations data-folder federated clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "secondread needs Python 3.11 or newer; found $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# First what is locked, each file by its hash, then the package itself, which brings nothing along.
$(VENV)/.reads: pyproject.toml requirements/serve.lock | $(VENV)/bin/python
	@echo "Installing what reading and serving need …"
	@$(HASHED) requirements/serve.lock
	@$(ITSELF)
	@echo 'The tab key completes names after: . $(BIN)/activate; eval "$$(secondread completion bash)" (or zsh, fish)'
	@touch $@

$(VENV)/.develops: pyproject.toml requirements/dev.lock requirements/apart.txt | $(VENV)/bin/python
	@echo "Installing what training and the tests need …"
	@$(HASHED) requirements/dev.lock
	@$(PIP) --requirement requirements/apart.txt
	@$(ITSELF)
	@touch $@ $(VENV)/.reads

run: $(VENV)/.reads  ## set everything up and start the web page (HOST, PORT)
	@$(BIN)/secondread serve --host $(HOST) --port $(PORT)

test: $(VENV)/.develops  ## set everything up and run the checks and tests
	@$(MAKE) --no-print-directory --jobs=2 check suite

# In the order of tests/conftest.py: the longest files first. Compiled modules are kept, also where the environment says
# otherwise: a hundred processes that tests start would each compile the package anew.
KEEP_COMPILED := PYTHONDONTWRITEBYTECODE=
# Tests write thousands of small files and wait until each is on the disk: where memory has room, it is as good a place.
IN_MEMORY := $(shell [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt 8000000 ] && echo TMPDIR=/dev/shm)
suite: $(VENV)/.develops
	@$(KEEP_COMPILED) $(IN_MEMORY) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --durations=12 --dist loadfile --no-loadscope-reorder --ignore tests/peers -m 'not peers'

test-peers: $(VENV)/.develops  ## what needs wheels and other programs
	@$(KEEP_COMPILED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m peers

check: $(VENV)/.develops  ## style, types, import order and dead code
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . || { echo "Run 'make format' and mend what is left."; exit 1; }
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }
	@$(BIN)/vulture

docs: $(VENV)/.develops  ## build the documentation, strictly: build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html; its search wants a server: $(BIN)/python -m http.server --directory build/site"

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header $(UPGRADE)
SERVING := --extra dicom --extra oidc --extra postgresql --extra redis --extra s3 --extra telemetry
lock: $(VENV)/.develops  ## write requirements/*.lock anew after a change of pyproject.toml (UPGRADE=--upgrade for newer releases)
	@$(LOCK) --all-extras --excludes requirements/apart.txt pyproject.toml requirements/beside.in --output-file requirements/dev.lock
	@$(LOCK) $(SERVING) --constraint requirements/dev.lock pyproject.toml requirements/build.in --output-file requirements/serve.lock

sbom: $(VENV)/.develops  ## list what serving installs, and the shipped bundles, as CycloneDX: docs/reference/sbom.cdx.json
	@$(BIN)/python -m benchmarks.sbom

soak: $(VENV)/.develops  ## twenty thousand requests of all kinds; is memory flat? benchmarks/results/soak.json
	@$(BIN)/python -m benchmarks.soak

format: $(VENV)/.develops  ## let ruff put the code in order
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

QUICK ?=
bench: $(VENV)/.develops  ## everything that is measured of speed, in one table: benchmarks/results/latest.md; half an hour (QUICK=--quick for 2)
	@$(BIN)/python -m benchmarks.bench $(QUICK)

growth: $(VENV)/.develops  ## time and memory by images, their size, clients and rows: docs/explanation/scale.md; an hour (QUICK=--quick for 5 minutes)
	@$(BIN)/python -m benchmarks.growth $(QUICK)

kill-nine: $(VENV)/.develops  ## kill server and worker 20 times while 300 images come in, on SQLite and PostgreSQL
	@$(BIN)/python -m benchmarks.kill_nine

SECONDS ?= 600
fuzz: $(VENV)/.develops  ## mutated images and archives for SECONDS (600): none may crash, hang or take a gigabyte; slices add up
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz --seconds $(SECONDS)

gate: $(VENV)/.develops data-folder  ## train and measure the learned gate; bundles measured with another refuse it (SECONDREAD_DATA)
	@$(BIN)/secondread gate train --data "$(SECONDREAD_DATA)" --out runs/gate --held-out benchmarks/results/gate_held_out.json
	@$(BIN)/secondread gate measure --data "$(SECONDREAD_DATA)" --gate runs/gate --out benchmarks/results/gate.json

RELEASE = $(BIN)/python -m benchmarks.release $@ $(TASKS:%=--task %)
bundles: $(VENV)/.develops data-folder  ## train the shipped bundles `paper` again, with their evidence (SECONDREAD_DATA, TASKS)
	@$(RELEASE)

best: $(VENV)/.develops data-folder  ## train the shipped bundles `best` again: hours on two cores; goes on where it stopped (SECONDREAD_DATA, TASKS)
	@$(RELEASE)

best-%: $(VENV)/.develops data-folder
	@$(BIN)/secondread build $*/best --data "$(SECONDREAD_DATA)/$*/manifest.csv" --out runs/best/$*

leaderboard: $(VENV)/.develops data-folder  ## every system the paper names, with hospitals left out: docs/reference/leaderboard.md; a day; says what is stale (SECONDREAD_DATA, TASKS)
	@$(RELEASE)

choices: $(VENV)/.develops data-folder  ## augmentation study, search and pretraining, all on validation (SECONDREAD_DATA, TASKS)
	@$(RELEASE)
	@$(BIN)/python -m benchmarks.pretraining

evidence: $(VENV)/.develops data-folder  ## audit the data, measure bundles and gate, compare with the paper; pages in runs/evidence (SECONDREAD_DATA, TASKS)
	@$(RELEASE)
	@$(BIN)/python -m benchmarks.gate_cost
	@$(MAKE) --no-print-directory paper

paper: $(VENV)/.develops data-folder  ## the seed paper's network on an honest and a leaking split (SECONDREAD_DATA, TASKS)
	@$(RELEASE)

federated: $(VENV)/.develops data-folder  ## hospitals alone, together and pooled: docs/explanation/federated.md; hours (SECONDREAD_DATA)
	@$(BIN)/python -m benchmarks.federated
	@$(BIN)/python -m benchmarks.federated_probe
	@$(BIN)/python -m benchmarks._federated

data-folder:
	@test -n "$(SECONDREAD_DATA)" || { echo "Set SECONDREAD_DATA to the folder of the benchmark data."; exit 1; }

notebooks: $(VENV)/.develops  ## run examples/notebooks, on phantoms, and write them with what came out: build/notebooks
	@$(BIN)/python -m benchmarks.notebooks

TRANSLATIONS := src/secondread/web/translations

translations: $(VENV)/.reads  ## gather the sentences of the pages, then compile what is translated of them
	@mkdir -p build
	@$(BIN)/pybabel -q extract -F babel.cfg -k lazy_gettext -k t -k translate --no-wrap --no-location --project=secondread -o build/messages.pot .
	@$(BIN)/pybabel -q update -i build/messages.pot -d $(TRANSLATIONS) --no-wrap --no-fuzzy-matching --ignore-obsolete
	@$(BIN)/pybabel compile -d $(TRANSLATIONS)

clean:  ## remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
