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

.PHONY: help run test check format bench load kill-nine gate bundles best best-brain-tumour best-tuberculosis best-fracture ship leaderboard choices evidence paper translations data-folder clean

TASKS := tuberculosis brain-tumour fracture

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
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

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

gate: $(VENV)/.develops data-folder  ## train and measure the learned gate; bundles measured with another refuse it (SECONDREAD_DATA)
	@$(BIN)/secondread gate train --data "$(SECONDREAD_DATA)" --out runs/gate
	@$(BIN)/secondread gate measure --data "$(SECONDREAD_DATA)" --gate runs/gate --out benchmarks/results/gate.json

bundles: $(VENV)/.develops data-folder  ## train the shipped bundles `paper` again, with their evidence (SECONDREAD_DATA)
	@for task in $(TASKS); do \
	  $(BIN)/secondread train --task $$task --model lenet --recipe paper --data "$(SECONDREAD_DATA)/$$task/manifest.csv" \
	    --fresh --gate --name paper --out runs/paper/$$task && $(MAKE) --no-print-directory ship TASK=$$task NAME=paper || exit 1; \
	done

# A bundle of several networks is merged of members that were trained apart: docs/training.md says why these.
network = $(BIN)/secondread train --task $(1) --model $(or $(2),lesion-lite0) --recipe best --data "$(SECONDREAD_DATA)/$(1)/manifest.csv" --gate
member = $(call network,$(1),$(3)) --no-measure --out runs/members/$(1)/$(2)
merge = $(BIN)/secondread merge $(2:%=runs/members/$(1)/%) --data "$(SECONDREAD_DATA)/$(1)/manifest.csv" --gate --name best --out runs/best/$(1)
best: $(VENV)/.develops data-folder  ## train the shipped bundles `best` again: hours on two cores; goes on where it stopped (SECONDREAD_DATA, TASKS)
	@for task in $(TASKS); do \
	  $(MAKE) --no-print-directory best-$$task && $(MAKE) --no-print-directory ship TASK=$$task NAME=best || exit 1; \
	done

best-brain-tumour best-tuberculosis best-fracture: $(VENV)/.develops data-folder

best-brain-tumour:
	@$(call network,brain-tumour) --name best --out runs/best/brain-tumour

LABELS_ALONE := --epochs 12 --set lesions_from=none --set lesion_weight=0 --set mirrored=false
best-tuberculosis:
	@$(call member,tuberculosis,lesions)
	@$(call member,tuberculosis,pooled-1,efficientnet-lite0) --random-state 1 $(LABELS_ALONE)
	@$(call member,tuberculosis,pooled-2,efficientnet-lite0) --random-state 2 $(LABELS_ALONE)
	@$(call merge,tuberculosis,lesions pooled-1 pooled-2) --shares 2,1,1

best-fracture:
	@$(call member,fracture,plain) --random-state 1
	@$(call member,fracture,varied) --random-state 3 --epochs 12 --set zoom=0.8,1.25 --set rotation_degrees=20 --set erase=0.2
	@$(call merge,fracture,plain varied)

ship:
	@mkdir -p src/secondread/bundles/$(TASK) && rm -rf src/secondread/bundles/$(TASK)/$(NAME) && \
	  cp -r runs/$(NAME)/$(TASK) src/secondread/bundles/$(TASK)/$(NAME)

# What all tasks can afford on two cores; the smallest collection also gets the larger networks, from scratch.
COMPARE = $(BIN)/secondread compare --page docs/leaderboard.md
ALL_TASKS := lenet-overlap svm decision-tree knn random-forest cnn-svm
FROM_SCRATCH := cbam multiscale capsule unet resnet18 densenet121 vit
leaderboard: $(VENV)/.develops data-folder  ## compare networks, classical learners and ensembles: docs/leaderboard.md (SECONDREAD_DATA, TASKS)
	@for task in $(TASKS); do \
	  $(COMPARE) --task $$task --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --baseline $$task/paper --bundle $$task/best \
	    $(ALL_TASKS:%=--model %) --out runs/leaderboard/$$task || exit 1; \
	done
	@$(COMPARE) --task tuberculosis --data "$(SECONDREAD_DATA)/tuberculosis/manifest.csv" --baseline tuberculosis/paper \
	  --model lenet --model lenet-overlap --seeds 0,1,2 --out runs/leaderboard/tuberculosis
	@$(COMPARE) --task tuberculosis --data "$(SECONDREAD_DATA)/tuberculosis/manifest.csv" --baseline tuberculosis/paper \
	  --recipe upright --epochs 12 $(FROM_SCRATCH:%=--model %) --out runs/leaderboard/tuberculosis-scratch
	@$(COMPARE) --task tuberculosis --data "$(SECONDREAD_DATA)/tuberculosis/manifest.csv" --baseline tuberculosis/paper \
	  --bundle tuberculosis/best --recipe transfer --epochs 8 --model efficientnet-lite0 --seeds 0,1,2 \
	  --ensemble mean --ensemble weighted --ensemble stacked --out runs/leaderboard/tuberculosis-transfer

STUDY_TASKS := tuberculosis
choices: $(VENV)/.develops data-folder  ## augmentation study, search and pretraining, all on validation (SECONDREAD_DATA, STUDY_TASKS)
	@for task in $(STUDY_TASKS); do \
	  $(BIN)/secondread study --task $$task --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --out runs/study/$$task && \
	  $(BIN)/secondread search --task $$task --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --trials 24 --out runs/search/$$task && \
	  for what in study search; do \
	    mkdir -p benchmarks/results/$$what/$$task && cp runs/$$what/$$task/$$what.json runs/$$what/$$task/$$what.md runs/$$what/$$task/$$what.png benchmarks/results/$$what/$$task/ || exit 1; \
	  done || exit 1; \
	done
	@$(BIN)/python -m benchmarks.pretraining

evidence: $(VENV)/.develops data-folder  ## audit the data, measure the shipped bundles, compare with the paper; pages in runs/evidence (SECONDREAD_DATA)
	@mkdir -p runs/evidence
	@for task in $(TASKS); do \
	  $(BIN)/secondread audit --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --task $$task --out runs/evidence/$$task-audit || exit 1; \
	  for bundle in src/secondread/bundles/$$task/*/; do \
	    name=$$task/$$(basename $$bundle); \
	    $(BIN)/secondread evaluate --data "$(SECONDREAD_DATA)/$$task/manifest.csv" --split test --bundle $$name \
	      --out runs/evidence/$$name || exit 1; \
	  done; \
	done
	@$(BIN)/secondread gate measure --data "$(SECONDREAD_DATA)" --gate src/secondread/bundles/gate --out benchmarks/results/gate.json
	@$(BIN)/python -m benchmarks.gate_cost
	@$(MAKE) --no-print-directory paper
	@echo "Pages: runs/evidence/*/index.html and runs/evidence/*/*/index.html"

data-folder:
	@test -n "$(SECONDREAD_DATA)" || { echo "Set SECONDREAD_DATA to the folder of the benchmark data."; exit 1; }

paper: $(VENV)/.develops data-folder  ## the seed paper's network on an honest and a leaking split (SECONDREAD_DATA, TASKS)
	@$(BIN)/secondread compare-paper --data "$(SECONDREAD_DATA)" $(TASKS:%=--task %) \
	  --out benchmarks/results --page docs/paper-comparison.md

TRANSLATIONS := src/secondread/web/translations

translations: $(VENV)/.reads  ## gather the sentences of the pages, then compile what is translated of them
	@mkdir -p build
	@$(BIN)/pybabel -q extract -F babel.cfg -k lazy_gettext -k t -k translate --no-wrap --no-location --project=secondread -o build/messages.pot .
	@$(BIN)/pybabel -q update -i build/messages.pot -d $(TRANSLATIONS) --no-wrap --no-fuzzy-matching --ignore-obsolete
	@$(BIN)/pybabel compile -d $(TRANSLATIONS)

clean:  ## remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
