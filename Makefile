# Two commands: `make demo` sees it run, `make test` checks it. Both make their own environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
STAMP := $(VENV)/.installed

.PHONY: setup demo test check format clean

setup: $(STAMP)  ## environment with everything in it, the broker's Java included

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Hopstream needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
ifdef UV
	uv venv --allow-existing --python $(PYTHON) $(VENV)
	uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev]'
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
endif
	@touch $@

demo: setup  ## everything at once on real events; Ctrl-C stops it
	$(BIN)/hopstream demo

test: setup  ## the whole suite, on a real broker
	$(BIN)/python -m pytest

check: setup  ## lint, types, tests: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## forget environment, caches and runs
	rm -rf $(VENV) .hopstream build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
