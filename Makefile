# The two commands: `make demo` shows the main job on an embedded vCenter simulator, `make test` passes the tests.
.DEFAULT_GOAL := help
.PHONY: help setup prepare demo test test-all test-containers lint bench clean
PYTHON := .venv/bin/python
# Two processes share the tests; each starts its own simulators and registries.
BESIDE := -n 2 --dist worksteal

help:
	@echo "make demo              convert the VMs of an embedded vCenter simulator into a local registry"
	@echo "make test              linters, types and all tests, with real parts"
	@echo "make test-all          the same, and the long tests: all file systems, volumes, formats and damages"
	@echo "make test-containers   build the product's images and run them against the simulator (15 minutes)"
	@echo "make bench NAME=...    one benchmark of benchmarks/: $(patsubst benchmarks/%.py,%,$(filter-out benchmarks/__init__.py,$(wildcard benchmarks/*.py)))"
	@echo "make clean             remove what this checkout made (the cache under ~/.cache/orchestrate stays)"

setup:
	@deploy/setup

demo: setup
	@$(PYTHON) -m deploy.demo

lint: setup
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

prepare: setup
	@$(PYTHON) -m deploy.demo.prepare

test: lint prepare
	$(PYTHON) -m pytest $(BESIDE)

test-all: lint prepare
	$(PYTHON) -m pytest $(BESIDE) -m "not containers"

test-containers: prepare
	$(PYTHON) -m pytest -m containers

bench: setup
	@test -n "$(NAME)" || { echo "say which: make bench NAME=one_disk" >&2; exit 64; }
	@$(PYTHON) -m benchmarks.$(NAME)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis out
