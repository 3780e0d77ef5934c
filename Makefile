# Each target sets itself up: all they need is Python 3.10 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-live lint bench-apply bench-data bench-train clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed; try make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m demo.show

test: $(VENV)/installed lint
	$(BIN)/python -m pytest -q

test-live: $(VENV)/installed
	$(BIN)/python -m pytest -q -m live

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench-apply: $(VENV)/installed
	$(BIN)/python benchmarks/apply.py

bench-train: $(VENV)/installed
	$(BIN)/python benchmarks/train.py

bench-data: $(VENV)/installed
	$(BIN)/python benchmarks/data.py

clean:
	rm -rf $(VENV) out .pytest_cache .ruff_cache *.egg-info
