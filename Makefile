# What one does with a clone of djafs. Each target does the set-up that it needs.

.PHONY: help setup demo test model stress crash fuzz large lint bench bench-scale clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

setup: ## Install what is missing (apt) and make .venv
	@scripts/setup

demo: setup ## Mount a store, bring documents in, pack, look back in time
	@PATH="$(CURDIR)/.venv/bin:$$PATH" examples/demo.sh

test: ## Lint and run all tests, on every Python of 3.10 to 3.13 that is here
	@scripts/test

model: setup ## Compare with a plain directory at random, for about an hour
	@DJAFS_MODEL_EXAMPLES=$${DJAFS_MODEL_EXAMPLES:-2000} DJAFS_MODEL_STEPS=$${DJAFS_MODEL_STEPS:-80} \
		DJAFS_EXERCISER_OPERATIONS=$${DJAFS_EXERCISER_OPERATIONS:-300000} \
		.venv/bin/python -m pytest tests/model

stress: setup ## Run stress-ng on a mount (apt install stress-ng)
	@scripts/stress

crash: setup ## Kill the daemon and cut the power thousands of times
	@DJAFS_CRASH=full .venv/bin/python -m pytest -q tests/crash

large: setup ## Work on 100,000 entries, and on gigabytes in little memory
	@DJAFS_LARGE=full .venv/bin/python -m pytest -q tests/large

fuzz: setup ## Fuzz the readers of what others may have written, for a minute each
	@.venv/bin/python -m pip install -q --disable-pip-version-check atheris
	@for target in $${DJAFS_FUZZ_TARGETS:-log replay archive table member checkpoint request}; do \
		.venv/bin/python tests/fuzz/run.py $$target $${DJAFS_FUZZ_SECONDS:-60} || exit 1; done

lint: setup ## Check style, types and the direction of imports
	@scripts/lint

bench: setup ## Measure against other filesystems, into benchmarks/RESULTS.md (QUICK=1: in short)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" benchmarks/run

bench-scale: setup ## Measure with millions of files, and ingest for ten minutes
	@PATH="$(CURDIR)/.venv/bin:$$PATH" benchmarks/run --long

clean: ## Remove what the other targets made
	rm -rf .venv .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build dist benchmarks/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
