# `make demo` and `make test` each work alone on a machine with Python 3.11 or newer, make and gcc.
# pip's own configuration decides where packages come from; requirements/constraints.txt decides which.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --root-user-action=ignore \
          -c requirements/constraints.txt

# Idle OpenMP threads that spin make a busy two-core machine ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE
# pip does not compile what may never be imported; Python keeps what it compiles, so only the first import is slow.
unexport PYTHONDONTWRITEBYTECODE

SPECS := pyproject.toml requirements/constraints.txt

.PHONY: demo test test-all coverage lint format bench docs clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Openbell needs Python 3.11 or newer; $(PYTHON) is older. Say PYTHON=/path/to/python3."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(SPECS) | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(SPECS) | $(BIN)/python
	$(PIP) -e '.[demo,dev,lab,lstm,postgres,redis,s3,serve,client,yahoo,alpaca]'
	@touch $(VENV)/.demo $@

$(VENV)/.bench: $(SPECS) | $(BIN)/python
	$(PIP) -e '.[demo,bench]'
	@touch $@

demo: $(VENV)/.demo ## sample data -> train -> decide -> report, offline
	$(BIN)/openbell demo

test: $(VENV)/.dev ## every test but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

test-all: $(VENV)/.dev ## the slow ones too: sizes over 100 seeds, kills at every step
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "slow or not slow" --timeout 7200 $(ARGS)

coverage: ARGS += --cov --cov-report=term --cov-fail-under=90
coverage: test ## the tests, with at least 90 % of the lines run

lint: $(VENV)/.dev ## style, types, floors, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(BIN)/deptry src

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## wall time and memory beside pandas and TA-Lib
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## the pages that are made from the code
	$(BIN)/python docs/make.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage .coverage.*
