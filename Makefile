# make run    set everything up and start the web page with the shipped bundles
# make test   set everything up and pass the tests
# make help   the other targets
PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
.DEFAULT_GOAL := help

.PHONY: help run test check format bench load kill-nine gate bundles evidence paper data-folder clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "secondread needs Python 3.11 or newer; found $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.reads: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what reading and serving need …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.develops: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what training and the tests need …"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.reads

run: $(VENV)/.reads  ## set everything up and start the web page (HOST, PORT)
	@$(BIN)/secondread serve --host $(HOST) --port $(PORT)

test: $(VENV)/.develops  ## set everything up and run the checks and tests
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -q

check: $(VENV)/.develops  ## style, types and import order
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . || { echo "Run 'make format' and mend what is left."; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 4

format: $(VENV)/.develops  ## let ruff put the code in order
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(VENV)/.develops  ## training, cold and warm reading against a plain script; results in benchmarks/results
	@$(BIN)/python -m benchmarks.cold_read
	@$(BIN)/python -m benchmarks.warm_read
	@$(BIN)/python -m benchmarks.training
	@$(BIN)/python -m benchmarks.audit_growth

load: $(VENV)/.develops  ## fifty clients for two minutes, against a plain script; and ten thousand readings in the worklist
	@$(BIN)/python -m benchmarks.load
	@$(BIN)/python -m benchmarks.worklist_time

kill-nine: $(VENV)/.develops  ## kill server and worker 20 times while 300 images come in, on SQLite and PostgreSQL
	@$(BIN)/python -m benchmarks.kill_nine

gate: $(VENV)/.develops data-folder  ## train and measure the learned gate, which no bundle asks for yet (SECONDREAD_DATA)
	@$(BIN)/secondread gate train --data "$(SECONDREAD_DATA)" --out runs/gate
	@$(BIN)/secondread gate measure --data "$(SECONDREAD_DATA)" --gate runs/gate --out benchmarks/results/gate.json

bundles: $(VENV)/.develops data-folder  ## train the shipped bundles again, with their evidence (SECONDREAD_DATA)
	@for task in tuberculosis brain-tumour fracture; do \
	  $(BIN)/secondread train --task $$task --model lenet --recipe paper --data "$(SECONDREAD_DATA)/$$task/manifest.csv" \
	    --fresh --gate --name paper --out runs/$$task-paper && \
	  rm -rf src/secondread/bundles/$$task/paper && mkdir -p src/secondread/bundles/$$task && \
	  cp -r runs/$$task-paper src/secondread/bundles/$$task/paper || exit 1; \
	done

evidence: $(VENV)/.develops data-folder  ## audit the data and measure the shipped bundles; pages in runs/evidence (SECONDREAD_DATA)
	@mkdir -p runs/evidence
	@for task in tuberculosis brain-tumour fracture; do \
	  $(BIN)/secondread audit --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --task $$task --out runs/evidence/$$task-audit && \
	  $(BIN)/secondread evaluate --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --split test --bundle $$task/paper \
	    --out runs/evidence/$$task || exit 1; \
	done
	@echo "Pages: runs/evidence/*/index.html"

data-folder:
	@test -n "$(SECONDREAD_DATA)" || { echo "Set SECONDREAD_DATA to the folder of the benchmark data."; exit 1; }

paper: $(VENV)/.develops data-folder  ## the seed paper's network on an honest and a leaking split (SECONDREAD_DATA, TASKS)
	@$(BIN)/secondread compare-paper --data "$(SECONDREAD_DATA)" $(TASKS:%=--task %) \
	  --out benchmarks/results --page docs/paper-comparison.md

clean:  ## remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
