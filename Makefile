# Two commands are all a newcomer needs: `make demo` and `make test`. `make help` lists the rest.
VENV := .venv
PY := $(VENV)/bin/python
EXTRA ?= cpu
STAMP := $(VENV)/.installed-$(EXTRA)
PYTHON ?= python3
export NUMBA_CACHE_DIR ?= $(CURDIR)/.numba-cache
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Nothing is left outside the repository, pip's downloads included.
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
ARGS ?=

.PHONY: help demo test test-page fuzz check format lint types imports drills bench image-check gpu-check gpu-check-here bench-gpu bench-gpu-here demo-bundle clean
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

# Two workers with a thread each: with as many threads as there are cores they would wait for one another.
test: $(STAMP) ## the test suite
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not drill and not page" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-page: $(STAMP) ## the page in a real browser (minutes; needs Chromium)
	@command -v chromium >/dev/null || { echo "Chromium is missing: install it (Debian: apt-get install chromium)." >&2; exit 1; }
	$(PY) -m pytest -m page tests/page $(ARGS)

drills: $(STAMP) ## fault drills against real processes: kills, full disks, bit flips (minutes)
	$(PY) -m pytest -m drill $(ARGS)

fuzz: $(STAMP) ## damaged ECG and echo files by the hundred thousand, guided by coverage (ARGS="--seconds 60 --target scp")
	$(PY) tests/fuzz/fuzz_readers.py $(ARGS)

bench: $(STAMP) ## every side-by-side measurement (minutes)
	@for name in ecg_prepare echo_prepare ecg_encoder train_step retrieval_metrics search guarded_read serve memory coverage quality_gate attribution simulator_planes simulator_criteria; do \
		echo "== $$name"; $(PY) -m benchmarks.$$name || exit 1; done

image-check: $(STAMP) ## build the image, start it as docker-compose.yml does, send it an ECG
	$(PY) -m deploy.image_check

gpu-check: ## on a CUDA machine: does the GPU give the CPU's answers?
bench-gpu: ## on a CUDA machine: a training step beside the published one
gpu-check bench-gpu:
	@command -v nvidia-smi >/dev/null || { echo "$@ cannot run here: there is no NVIDIA driver (nvidia-smi is missing)." >&2; exit 1; }
	$(MAKE) VENV=.venv-gpu EXTRA=gpu $@-here
gpu-check-here: $(STAMP)
	$(PY) -m pytest -m gpu
	$(PY) -m deploy.gpu_check

bench-gpu-here: $(STAMP)
	$(PY) -m benchmarks.train_step --device cuda --compile

demo-bundle: $(STAMP) ## make bundles/demo again: simulate its cohort and train on it (about 70 minutes on 2 cores, 25 GB; then copy .cache/demo to bundles/demo)
	$(VENV)/bin/echo2ecg simulate .cache/training-cohort --patients 2400 --seed 1 --prepared-for demo
	$(VENV)/bin/echo2ecg train .cache/training-cohort --recipe demo --out .cache/demo

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
	rm -rf .demo .cache .image-check .numba-cache .pytest_cache .mypy_cache .ruff_cache build *.egg-info
