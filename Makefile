# Commands for a fresh machine: `make demo`, `make test`, `make docs`, `make check`, which runs all that
# CI runs, and `make release`.
# Each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
# What pip is told to get torch from. Where there is no GPU the constraint keeps to a tested release;
# for PyTorch's own CPU builds use TORCH_SOURCE="--index-url <address of the CPU wheels>".
GPU := $(shell command -v nvidia-smi 2>/dev/null)
ifeq ($(GPU),)
TORCH_SOURCE ?= --constraint constraints.txt
else
TORCH_SOURCE ?=
endif
BIN := $(VENV)/bin
DEMO ?= runs/demo

# `make bench` runs all of them, `make bench-NAME` one, `make bench-train ARGS="--models wide"` with arguments. Results
# are written to benchmarks/results; the peers' environments are made under .venv-peers when first needed.
BENCHMARKS := supernet-step search-cost train encode histories prepare vocabulary predict trees stream workers
ARGS ?=
CODE := src tests benchmarks examples tools

.PHONY: demo test docs lint check faults cluster oldest audit release setup clean bench bench-curves $(BENCHMARKS:%=bench-%)

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH_SOURCE) torch
	$(BIN)/pip install --quiet $(TORCH_SOURCE) --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/automtl demo --out $(DEMO)

# Neighbouring tests run in one process, so that what they share is made once. Bytecode is kept, for the processes that
# tests start.
test: setup
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

# Drawings are made anew, warnings are errors. Nothing is fetched.
docs: setup
	$(BIN)/python tools/draw.py
	$(BIN)/python -m mkdocs build

lint: setup
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy

# The rule of the floors is a test. Tests come last, so that their summary is the last line.
check: setup
	$(MAKE) --no-print-directory lint docs test

# Fits that are killed at random moments, held against one that nothing disturbed, then a fault at every operation on
# files of five commands: some hours. Fewer by KILLS="--kills 5" and POINTS="--command prepare --every 20". Before them, in
# some ten minutes, model folders that were changed as somebody would who wants to harm; fewer by FOLDERS="--count 500".
faults: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.folders runs/faults/folders $(FOLDERS)
	$(BIN)/python -m tests.faults.kills runs/faults $(KILLS)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.operations runs/faults/operations $(POINTS)

# A Ray cluster of two nodes on this machine, whose workers and nodes are killed; then the tests that need Ray. Some
# minutes. Ray (246 MB) is installed for it, and stays.
cluster: setup
	$(BIN)/pip install --quiet $(TORCH_SOURCE) --editable '.[cluster]'
	$(BIN)/python -m tests.cluster runs/cluster
	RAY_AUTH_MODE=disabled $(BIN)/python -m pytest tests/distributed tests/comparison/test_ray_pool.py

# The tests with the oldest releases that pyproject.toml admits (some of them: ARGS); `make test` has the newest.
oldest: $(VENV)-oldest/ready
	OMP_NUM_THREADS=1 $(VENV)-oldest/bin/python -m pytest -n 2 $(ARGS)

$(VENV)-oldest/ready: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/pip install --quiet --constraint constraints-oldest.txt torch
	$(VENV)-oldest/bin/pip install --quiet --constraint constraints-oldest.txt --editable . \
		"pytest>=8" "pytest-xdist>=3.6" "hypothesis>=6.100" "pandas>=2.2" "duckdb>=1.1" "aiohttp>=3.9"
	touch $@

# Licences, a bill of materials and known vulnerabilities of what automtl installs with its extras, into dist/.
# The extra balancing-gpl is left out: its solvers are under the GPL, as its name says.
audit:
	$(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/pip install --quiet $(TORCH_SOURCE) torch
	$(VENV)-release/bin/pip install --quiet $(TORCH_SOURCE) '.[balancing,catboost,mlflow,onnx,redis,serve,storage,tensorboard]'
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet pip-licenses cyclonedx-bom pip-audit
	$(VENV)-audit/bin/python tools/audit.py $(VENV)-release/bin/python dist

# All that a release consists of, into dist/: a wheel and a source archive, checked, the notes of this version from
# CHANGELOG.md, licences and a bill of materials. Nothing is uploaded.
release:
	rm -rf build dist
	$(PYTHON) -m venv $(VENV)-build
	$(VENV)-build/bin/pip install --quiet build twine
	$(VENV)-build/bin/python -m build --outdir dist
	$(VENV)-build/bin/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(VENV)-build/bin/python tools/release_notes.py dist/release-notes.md
	$(MAKE) --no-print-directory audit

bench: $(BENCHMARKS:%=bench-%)

$(BENCHMARKS:%=bench-%): bench-%: setup
	BENCHMARK_OUT=benchmarks/results/$*.json $(BIN)/python benchmarks/$(subst -,_,$*).py $(ARGS)

# Cost curves, some minutes: into benchmarks/results/curves.json and docs/images.
bench-curves: setup
	$(BIN)/python benchmarks/curves.py $(ARGS)

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-release $(VENV)-audit $(VENV)-build .venv-peers runs build dist src/*.egg-info
