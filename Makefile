# From a fresh clone with Python 3.11+ and make: `make run`, `make test`. The rest is listed by `make help`.
.DEFAULT_GOAL := help
.PHONY: help run test check bench clean lock base dev index-free baseline

HOST ?= 127.0.0.1
PORT ?= 8000
DATA_DIR ?= .data
ONLY ?=
TESTS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes
# The newcomer's index may be configured for pip alone, and pip needs 25 s for what runs: no second installer.

help:
	@echo "make run     set up and run everything on http://$(HOST):$(PORT) (HOST, PORT, DATA_DIR)"
	@echo "make test    set up and run the whole test suite (TESTS=path for a part)"
	@echo "make check   lint, types, floors, migrations, generated docs, deployment settings, secrets"
	@echo "make bench   run the benchmarks (ONLY=ingest for one)"
	@echo "make clean   stop and remove what run and test made"
	@echo "make lock    lock requirements/*.in again, keeping versions that still fit"

run: base
	@HOST="$(HOST)" PORT="$(PORT)" DATA_DIR="$(DATA_DIR)" SANDBOX="$${SANDBOX-1}" DEMO="$${DEMO-1}" \
	 EGRESS_ALLOW="$${EGRESS_ALLOW-127.0.0.1:*,localhost:*}" STOP_WITH_PARENT=1 exec $(PY) -m config.parts

# One more than the cores that it wants: the tests of faults wait most of their time.
test: dev
	@$(PY) -m pytest -n 3 --dist loadgroup $(TESTS)

bench: dev
	@$(PY) -m benchmarks $(ONLY)

check: dev index-free
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .
	PYTHONPATH=. $(VENV)/bin/lint-imports
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run  # it warns that no database runs
	$(PY) manage.py document_providers --check
	$(PY) .ci/deploy_check.py
	$(PY) .ci/secret_scan.py

# A requirements file that names an index would send a newcomer to somebody else's server.
index-free:
	@! grep -nE '^ *(-i|-f|--(extra-)?index-url|--find-links)|https?://' requirements/*.in requirements/*.txt

# Only after looking at each new finding: what is listed here is never reported again.
baseline: dev
	@$(PY) .ci/secret_scan.py --accept

clean:
	@for folder in "$(DATA_DIR)" .data .data-*; do \
	   if [ -d "$$folder" ] && [ -x $(PY) ]; then DATA_DIR="$$folder" $(PY) -m config.parts stop || exit 1; fi; \
	   rm -rf "$$folder"; done
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* \
	  htmlcov screenshots staticfiles bench-results.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: dev
	@$(PIP_INSTALL) -r requirements/lock.txt
	@for name in base dev lock; do $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url \
	   --no-header --universal --fork-strategy fewest --python-version 3.11 \
	   requirements/$$name.in -o requirements/$$name.txt || exit 1; done

# Each installation leaves a copy of its lock in the environment: nothing is installed again until the lock changes.
base: $(PY)
	@cmp -s requirements/base.txt $(VENV)/base.lock || { \
	   echo "Installing what runs (once; about half a minute) ..."; \
	   $(PIP_INSTALL) -r requirements/base.txt && cp requirements/base.txt $(VENV)/base.lock; }

dev: $(PY)
	@cmp -s requirements/dev.txt $(VENV)/dev.lock || { \
	   echo "Installing what runs and tests (once; about a minute) ..."; \
	   $(PIP_INSTALL) -r requirements/dev.txt && cp requirements/dev.txt $(VENV)/dev.lock \
	   && cp requirements/base.txt $(VENV)/base.lock; }

$(PY):
	@for python in python3.11 python3.12 python3.13 python3; do \
	   if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	     echo "Making $(VENV) with $$($$python --version) ..."; \
	     $$python -m venv $(VENV) && exit 0; \
	     echo "That Python cannot make an environment (Debian: install python3-venv)."; exit 1; fi; done; \
	 echo "Python 3.11 or newer is needed and none was found on PATH."; exit 1
