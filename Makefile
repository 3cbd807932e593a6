# Two commands are all a newcomer needs: `make demo` and `make test`. `make help` lists the rest.
VENV := .venv
PY := $(VENV)/bin/python
EXTRA ?= cpu
STAMP := $(VENV)/.installed-$(EXTRA)
PYTHON ?= python3
export NUMBA_CACHE_DIR ?= $(CURDIR)/.numba-cache
export PIP_DISABLE_PIP_VERSION_CHECK = 1
ARGS ?=

.PHONY: help demo test check format lint types imports bench clean
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11, 3.12 or 3.13 (Debian: apt-get install python3)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11 to 3.13 is needed: set PYTHON=/path/to/python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "The venv module is missing: install it (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRA),dev]"
	@touch $@

demo: $(STAMP) ## simulate a cohort, index it, serve it, query it with a real ECG (ARGS=--exit ends afterwards)
	$(VENV)/bin/echo2ecg demo $(ARGS)

test: $(STAMP) ## the test suite
	$(PY) -m pytest $(ARGS)

check: format lint types imports ## format, lint, types, import arrows
format: $(STAMP)
	$(VENV)/bin/ruff format --check .
lint: $(STAMP)
	$(VENV)/bin/ruff check .
types: $(STAMP)
	$(VENV)/bin/mypy
imports: $(STAMP)
	$(VENV)/bin/lint-imports

clean: ## remove what the commands made, except bundles
	rm -rf .demo .cache .numba-cache .pytest_cache .mypy_cache .ruff_cache build *.egg-info
