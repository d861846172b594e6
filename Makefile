# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# uv, where it is installed, takes seconds instead of minutes. As pip does, it is to compile what it
# installs: with PYTHONDONTWRITEBYTECODE every process would do so again, for 15 seconds and more.
UV := $(shell command -v uv 2>/dev/null)
# Of an environment's interpreter, what installs packages into it.
install_with = $(if $(UV),$(UV) pip install --compile-bytecode --python $(1),$(1) -m pip install --disable-pip-version-check)

.PHONY: demo docs drill test test-slow test-lowest fuzz lint setup

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(call install_with,$(BIN)/python) --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/relearn fetch
	touch $@

# A finished demo starts again; one that was interrupted goes on where it stopped.
demo: setup
	@if [ -f runs/demo/summary.json ]; then rm -rf runs/demo; fi
	$(BIN)/relearn run --config demo --output runs/demo

# The site, in site/. A broken link or anchor is an error; with --quiet mkdocs would not see it.
docs: .venv/docs-ready
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "site: site/index.html"

.venv/docs-ready: .venv/ready
	$(call install_with,$(BIN)/python) --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# A process for each core, which computes on that core; the tests of a file stay together.
PARALLEL := OMP_NUM_THREADS=1
WORKERS := -n auto --maxprocesses 8 --dist loadfile

test: setup
	$(PARALLEL) $(BIN)/python -m pytest $(WORKERS)

# Faults over the whole of a run: kills, full disks, damaged files. See docs/reliability.md.
KILLS := 40

drill: setup
	$(PARALLEL) DRILL_KILLS=$(KILLS) $(BIN)/python -m pytest -m 'slow or not slow' tests/test_drill.py

test-slow: setup
	$(BIN)/python -m pytest -m slow

# The oldest versions that pyproject.toml allows. TORCH=X.Y.Z takes another torch than the oldest.
test-lowest: .venv-lowest/ready
	$(PARALLEL) .venv-lowest/bin/python -m pytest $(WORKERS)

.venv-lowest/ready: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python tests/helpers/lowest_versions.py $(TORCH:%=torch==%) \
		> .venv-lowest/constraints.txt
	$(call install_with,.venv-lowest/bin/python) --quiet \
		--constraint .venv-lowest/constraints.txt --editable '.[dev]'
	.venv-lowest/bin/relearn fetch
	touch $@

# Coverage-guided fuzzing of what reads other people's bytes, so many seconds for each target.
TARGET := readers replies configuration
SECONDS := 120

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[fuzz]'
	for target in $(TARGET); do \
		$(BIN)/python tests/fuzz/targets.py $$target --seconds $(SECONDS) || exit 1; done

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
