# Every target does its own set-up: it needs Python 3.11 or newer, and the package index for the first run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all ledger bench lint clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp per extra, so that a target installs once and again only when the requirements change.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing gvatheory[$*] into $(VENV) ..."
	$(PIP) -e '.[$*]'
	@touch $@

demo: $(VENV)/.installed-demo
	$(BIN)/gva demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: $(VENV)/.installed-dev $(VENV)/.installed-experts $(VENV)/.installed-minari $(VENV)/.installed-datasets $(VENV)/.installed-accelerate lint
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n 2

ledger: $(VENV)/.installed-demo
	$(BIN)/gva check --no-mutants --page docs/propositions.md

bench: $(VENV)/.installed-dev $(VENV)/.installed-experts $(VENV)/.installed-language
	$(BIN)/python -m benchmarks.theory
	$(BIN)/python -m benchmarks.rollouts
	$(BIN)/python -m benchmarks.cloning
	$(BIN)/python -m benchmarks.pretraining
	$(BIN)/python -m benchmarks.generation

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info
