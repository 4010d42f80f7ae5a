# Landline. `make` lists what there is to do; nothing but python3 (3.11 or newer) is needed to begin,
# and node for the tests. What is installed goes into .venv and node_modules here, and from Debian's
# packages only what tools/debian-packages.txt lists and the machine lacks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Knobs: `make demo PORT=8080 HOST=0.0.0.0`, `make test ARGS="-k cursor -x"`, `make test PYTHON=python3.13`,
# `make test WORKERS=4 SLOWER=3` (processes that share the tests; a factor on all their waits' bounds),
# `make fuzz INPUTS=50000`.
PORT ?= 5000
HOST ?= 127.0.0.1
ARGS ?=
INPUTS ?= 1000000
ONLY ?=
ROUNDS ?=
PEERS ?=
QUICK ?=
WORKERS ?= auto
SLOWER ?=
export SLOWER
export PYTHON ?= python3

BIN := .venv/bin
# Stamps: a step is done again when what it was made from has changed.
RUN := .venv/.stamp-run
DEV := .venv/.stamp-dev
NODE := node_modules/.stamp
# The smoke test needs no peers.
BENCH := $(if $(filter smoke,$(ONLY)),$(DEV),bench/.venv/.stamp)
CODE := $(wildcard src tests tools examples bench)
# Tests that start servers, which takes seconds each.
SERVED := held proving examples static bench fuzz
QUICKLY := $(filter-out $(SERVED:%=tests/%/) tests/typing/ tests/vectors/ tests/ledger/,$(wildcard tests/*/ tests/test_*.py))
# Of them those that run the code in their own process, which alone can be measured.
COVERING := $(wildcard tests/fuzz/test_parsers.py tests/fuzz/test_doors.py tests/held/test_race.py tests/held/test_failing_app.py)
# Several processes, each a file at a time, as a file's tests share servers; the slowest are named at the end.
SHARED := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15

.PHONY: help demo lesson quick test test-rest test-night coverage compatible fuzz mutants check bench format reference constraints debian clean

help:  ## list these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(RUN)  ## serve the board: this machine's vitals and notes, live, on PORT (5000)
	@tools/serve.sh board "$(HOST)" "$(PORT)"

lesson: $(RUN)  ## serve the lesson: the ten-line app that Landline grew from, on PORT (5000)
	@tools/serve.sh lesson "$(HOST)" "$(PORT)"

quick: $(DEV)  ## while working: what needs neither servers nor browsers, in less than a minute
	@$(SHARED) --durations=3 -m "not browser and not ledger and not slow" $(QUICKLY) $(ARGS)

test: $(DEV) $(NODE) debian  ## run what each push must pass: Python's tests (ARGS= goes to pytest) and the browser client's
	@echo "landline: pytest $(ARGS)"
	@$(SHARED) $(ARGS)
	@echo "landline: npm test"
	@npm test --silent

test-rest: $(DEV) $(NODE) debian  ## what `make test` leaves out: whole ledgers, matrix and proving ground, thousands of readers
	@echo "landline: pytest -m night"
	@$(SHARED) -m night $(ARGS)
	@$(MAKE) fuzz INPUTS=20000 ARGS=

test-night: test-rest  ## all that is too much for each change: `make test-rest`, `make fuzz`, `make mutants`
	@$(MAKE) fuzz ARGS=
	@$(MAKE) mutants ARGS=

coverage: $(DEV)  ## run what is tested without servers, and demand the branches that pyproject.toml says
	@FUZZ_INPUTS=2000 $(SHARED) --durations=3 -q -m "not browser and not ledger and not slow" \
	    $(QUICKLY) $(COVERING) --cov --cov-report=term-missing:skip-covered $(ARGS)

compatible: $(DEV)  ## run the quick tests on each Python that is installed, and with the oldest versions allowed
	@$(BIN)/nox $(ARGS)

fuzz: $(DEV)  ## make up bad input, INPUTS (1000000) of it, for some twenty minutes: for each night
	@FUZZ_INPUTS="$(INPUTS)" $(BIN)/python -m pytest tests/fuzz $(ARGS)

mutants: $(DEV) $(NODE)  ## take out each defence of SECURITY.md in a copy, and see its test fail
	@$(BIN)/python tools/mutants.py $(ARGS)

check: $(DEV) $(NODE)  ## lint, formats, types, the built bundle and the docs
	@echo "landline: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "landline: not formatted as it should be; run 'make format'" >&2; exit 1; }
	@echo "landline: import-linter"
	@$(BIN)/lint-imports --no-cache >.venv/lint-imports.log || { cat .venv/lint-imports.log >&2; exit 1; }
	@echo "landline: mypy"
	@$(BIN)/mypy --no-error-summary $(CODE)
	@echo "landline: pyright"
	@node_modules/.bin/pyright --warnings
	@echo "landline: npm run check"
	@npm run --silent check
	@echo "landline: docs"
	@$(BIN)/python -m tools.check_docs
	@echo "landline: all checks passed"

bench: $(BENCH)  ## measure, beside others: ONLY=polls,fanout, ONLY=smoke, QUICK=1, ROUNDS=5, PEERS=nchan
ifeq ($(ONLY),smoke)
	@$(BIN)/python -m bench.smoke
else
	@bench/.venv/bin/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(PEERS),--peers "$(PEERS)") $(if $(QUICK),--quick)
endif

format: $(DEV)  ## put the Python code into its format and repair what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: $(DEV)  ## write the Python reference anew from the docstrings
	@$(BIN)/python -m tools.reference

constraints:  ## write constraints.txt anew: the newest versions that fit pyproject.toml
	@tools/constraints.sh

debian:  ## install what the tests need from Debian's packages, where it is missing
	@tools/debian.sh

clean:  ## remove what was installed and built here; logs of the examples stay
	@rm -rf .venv node_modules bench/.venv bench/.cache bench/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .nox tests/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml constraints.txt tools/venv.sh
	@tools/venv.sh
	@touch $@

$(DEV): pyproject.toml constraints.txt tools/venv.sh
	@tools/venv.sh dev
	@touch $(RUN) $@

bench/.venv/.stamp: pyproject.toml bench/requirements.txt bench/constraints.txt bench/package-lock.json bench/install.sh
	@bench/install.sh
	@touch $@

$(NODE): package.json package-lock.json tools/node.sh
	@tools/node.sh
	@touch $@
