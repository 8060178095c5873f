# Every target sets up what it needs: a clean clone, Python 3.11 and make are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST ?= .venv-lowest
READY_LOWEST := $(LOWEST)/.ready
CENTRAL := tests/core tests/line tests/sliced tests/exact/test_exact.py tests/io/test_images.py tests/cli/test_distance.py tests/test_distances.py
BENCH_READY := $(VENV)/.ready-bench
# Tests run in two processes of one thread each: nested thread pools on two cores only wait.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
SUITE ?= quick
SEED ?= 0
OUT ?= out/bench

.PHONY: help setup demo test lowest check format lint types spell docs figures serve bench bench-check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-9s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev,docs,plot,tables,images,hdf5,dask,keras,torchmetrics,lightning,ignite,sklearn]"
	@touch $@

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[bench]"
	@touch $@

$(READY_LOWEST): pyproject.toml constraints-lowest.txt
	@test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check -q -c constraints-lowest.txt -e ".[plot,tables,images]" pytest pytest-xdist hypothesis
	@touch $@

setup: $(READY)  ## create .venv with everything that development needs

demo: $(READY)  ## two reports: generators of digits against real ones, and drift in a table
	@$(BIN)/python examples/demo.py

test: $(READY)  ## all tests, and the examples in the docstrings
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --doctest-modules otdist benchmarks tests

lowest: $(READY_LOWEST)  ## central tests with the oldest dependencies that are allowed
	$(ONE_THREAD) $(LOWEST)/bin/python -m pytest -n 2 $(CENTRAL)

check: lint types spell docs test  ## formats, types, spelling, site and every test

format: $(READY)  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)  ## format and lint, without changing a file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## static types
	$(BIN)/pyright --pythonpath $(BIN)/python

spell: $(READY)  ## spelling of sources and pages
	$(BIN)/codespell

docs: $(READY)  ## build the site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

figures: $(READY)  ## draw the pictures of the site again
	@for script in docs/figures/*.py docs/tutorials/*.py; do \
		test -e $$script || continue; echo $$script; $(BIN)/python $$script || exit 1; done
	@echo benchmarks publish; $(BIN)/python -m benchmarks publish
	@echo benchmarks gan pictures; $(BIN)/python -m benchmarks gan pictures

serve: $(READY)  ## the site at http://127.0.0.1:8000, rebuilt as you write
	$(BIN)/mkdocs serve

bench: $(BENCH_READY)  ## side by side with other libraries: JSON, table and plots in out/bench
	$(BIN)/python -m benchmarks --suite $(SUITE) --seed $(SEED) --out $(OUT)

bench-check: $(READY)  ## two minutes of benchmarks against the committed figures: warns, does not fail
	$(BIN)/python -m benchmarks --suite small,exact,univariate,sliced --quick --rounds 3 --minutes 2 --out out/check > /dev/null
	$(BIN)/python -m benchmarks.compare benchmarks/results.json out/check/results.json --warn

clean:  ## remove what the other targets made, .venv included
	rm -rf $(VENV) $(LOWEST) site out report.html drift.html dist .pytest_cache .ruff_cache .hypothesis
