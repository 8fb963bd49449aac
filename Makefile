# The commands for people.  `make` without a target lists them.
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes
# One more than there are cores, since some tests wait.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 8 ? n + 1 : 8)))
# A file of tests stays on one worker, so that what its tests share is made once.
PYTEST  := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
NATIVE  := $(shell find native -name '*.rs' -o -name Cargo.toml -o -name Cargo.lock 2>/dev/null | grep -v '^native/target')
# Real tables for the tests that need them; those tests are skipped, and say so, if the folder is absent.
export VFL_TEST_DATA ?= $(wildcard $(abspath ../shared/data))

# What pip and cargo say of every package hides what matters.
export PIP_QUIET ?= 1
export CARGO_TERM_QUIET ?= true
# Compiled modules are kept even where the environment forbids it: tests and the demo start many interpreters.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup oracles demo wheel test test-long test-clusters test-serial test-all fuzz lint format docs hospitals notebooks bench bench-full bench-glm bench-alignment bench-boosting bench-kernels counts lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Three locks, each with all of the one before: what a run needs; what lint and the default tests need; what benchmarks and slow tests compare with.
$(VENV)/.run: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r $<
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.run
	$(INSTALL) -r $<
	@touch $@

$(VENV)/.oracles: requirements-oracles.lock $(VENV)/.test
	$(INSTALL) -r $<
	@touch $@

$(VENV)/.built: $(VENV)/.run $(NATIVE) pyproject.toml
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked --quiet
	@touch $@

setup: $(VENV)/.built $(VENV)/.test  ## virtual environment, what lint and tests need, the Rust core

oracles: setup $(VENV)/.oracles  ## the same with what benchmarks and slow tests compare with

demo: $(VENV)/.built  ## bank + partner + arbiter as three processes: align, train under Paillier, score, report
	$(BIN)/vfl demo

wheel: $(VENV)/.built requirements-wheel.lock  ## dist/*.whl for any Linux with glibc 2.17 or later, Python 3.11 or later
	$(INSTALL) -r requirements-wheel.lock
	rm -rf dist
	PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin build --release --locked --quiet --zig --compatibility manylinux2014 --target-dir native/target/wheel --out dist

test: setup  ## the default test suite (5 to 8 minutes on 2 cores)
	$(PYTEST)
	cargo test --quiet --release --locked --manifest-path native/Cargo.toml

test-long: setup  ## tests that take many seconds each: the wheel, documents that are executed, exact counts
	$(PYTEST) -m 'long and not slow'

test-clusters: setup  ## workers on local clusters of Ray and Dask (about 2 minutes)
	$(BIN)/pytest -m 'cluster and not slow' tests/promises/clusters

test-serial: test-clusters test-long  ## the arithmetic and every protocol on the portable backend, after test-clusters and test-long
	VFL_NATIVE_BACKEND=serial $(PYTEST) tests/unit/native tests/unit/protocols tests/unit/vfl/api tests/unit/vfl/models tests/promises/conformance tests/promises/leakage tests/promises/recovery

fuzz: setup  ## every reader of bytes from a peer or a disk, with new damaged bytes each time (some minutes)
	$(BIN)/pytest -m fuzz tests/promises/wire tests/promises/recovery

test-all: oracles  ## everything: full-size keys, statistics, soak, fuzzing
	$(PYTEST) -m ''
	cargo test --quiet --release --locked --manifest-path native/Cargo.toml

lint: setup  ## ruff, mypy, import-linter, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --check --manifest-path native/Cargo.toml --all
	cargo clippy --quiet --release --locked --manifest-path native/Cargo.toml --all-targets -- -D warnings

format: setup  ## formats the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --manifest-path native/Cargo.toml --all

docs: setup  ## what is generated: docs/leakage.md, tables of docs/file-formats.md, docs/*.schema.json
	$(BIN)/python -m tools.leakage_page
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.event_schema
	$(BIN)/python -m tools.command_schema

hospitals: setup  ## executes the examples of docs/hospitals.md, readmission.md, credit.md, recommender.md, traffic.md, claims.md again
	$(BIN)/python -m tools.hospitals
	$(BIN)/python -m tools.readmission
	$(BIN)/python -m tools.pairs

notebooks: oracles  ## executes the notebooks of docs/notebooks again (some minutes)
	$(BIN)/python -m tools.notebooks

bench: oracles  ## what encryption costs: the same jobs in five modes, scaling, networks, other libraries
	$(BIN)/vfl bench

bench-full: oracles  ## the same on large tables, with a new fit of the cost model: an hour on a quiet machine; PEERS=PYTHON with other libraries
	$(BIN)/python -m vfl.bench.fit --out vfl/cost/cost.json
	$(BIN)/vfl bench --full $(if $(PEERS),--peers-python $(PEERS))
	$(BIN)/python -m benchmarks.document

bench-glm: setup  ## a regression by operation: products and seconds per row and iteration
	$(BIN)/python -m benchmarks.glm --rows 4000 --direct-passes 2 --repeat 5

bench-kernels: oracles  ## only the arithmetic, compared with gmpy2 and phe
	$(BIN)/python -m benchmarks.kernels

bench-alignment: oracles  ## ids: seconds, bytes, memory and nanoseconds per product from 2^10 to 2^20 ids, compared with other libraries
	$(BIN)/python -m benchmarks.alignment

bench-boosting: oracles  ## boosted trees: seconds per tree by phase, products, bytes, compared with the twin and xgboost
	$(BIN)/python -m benchmarks.boosting

counts: setup  ## records what fixed small jobs cost, after a change that was meant to change it
	$(BIN)/python -m tests.promises.cost.counts --write

# Each lock is resolved under the pins of the one before it.
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: setup  ## resolves requirements.lock (a run), requirements-test.lock and requirements-oracles.lock (benchmarks) again
	$(COMPILE) --build-deps-for wheel --output-file requirements.lock pyproject.toml
	$(COMPILE) --build-deps-for wheel --extra data --extra files --extra ray --extra dask --extra dp --extra evidence --extra node --extra dev --constraint requirements.lock --output-file requirements-test.lock pyproject.toml
	$(COMPILE) --build-deps-for wheel --extra data --extra files --extra ray --extra dask --extra dp --extra evidence --extra node --extra dev --extra docs --extra oracles --constraint requirements-test.lock --output-file requirements-oracles.lock pyproject.toml

clean:  ## removes what was built
	rm -rf $(VENV) native/target protocols/*.so dist demo-run
