# Everything from a bare clone: `make demo` runs the main job, `make test` the tests. Both set themselves up.
SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SLURM  := munge mariadb-server-core mariadb-client-core slurmdbd slurmctld slurmd slurm-client

.PHONY: help demo test test-next check format lock clean browser slurm

help:
	@echo "make demo    initialise, cross-guide and evaluate on videos made here; ends with a table (minutes, CPU)"
	@echo "make test    the whole test suite; installs what it needs where it may and says what it skipped"
	@echo "make test-next  configuration and launchers under the next Hydra and OmegaConf, release candidates included"
	@echo "make check   lint, format, types and import layers"
	@echo "make format  apply the formatter and the lint fixes"
	@echo "make lock    resolve requirements.lock anew from pyproject.toml"
	@echo "make clean   remove the virtual environment (runs/ is kept)"

demo: $(READY)
	$(BIN)/python -m mvcgc.run

test: $(READY) browser slurm
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Not part of `make test`: it needs the package index.
test-next: $(READY)
	$(BIN)/pip install --quiet --pre --no-deps --upgrade --target .next \
	  'hydra-core>=1.4.0rc1,<1.5' 'omegaconf>=2.4,<2.5' 'hydra-submitit-launcher>=1.4.0rc1,<1.5'
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/.next $(BIN)/pytest tests/config tests/plan tests/launch tests/test_run.py

check: $(READY)
	$(BIN)/ruff check . slurm/local-cluster
	$(BIN)/ruff format --check . slurm/local-cluster
	$(BIN)/mypy
	$(BIN)/mypy --strict slurm/local-cluster
	$(BIN)/lint-imports
	$(BIN)/python tests/support/check_tree.py

format: $(READY)
	$(BIN)/ruff check --fix . slurm/local-cluster
	$(BIN)/ruff format . slurm/local-cluster

# A bare Debian has python3 without ensurepip: add the package where we may, else say what to ask for.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version 2>&1) at $(PYTHON); mvcgc needs 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq; apt-get install -y -qq python3-venv; }; } || \
	  { echo "error: $(PYTHON) has no venv module; ask for the package python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# The MLflow pages are tested in a real browser: Debian's own, where we may install it.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { echo "installing chromium for the browser tests"; apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } || \
	  echo "no chromium, and no right to install it: the browser tests will be skipped"

# The launcher is tested on a real SLURM, slurm/local-cluster, that the tests start and stop: Debian's packages.
slurm:
	@PATH="$$PATH:/usr/sbin"; { command -v munged mariadbd mariadb slurmdbd slurmctld slurmd sbatch | wc -l | grep -qx 7; } || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { echo "installing SLURM for the launcher's tests"; apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SLURM) >/dev/null; }; } || \
	  echo "no SLURM, and no right to install it: the tests on a cluster will be skipped"
	@[ "$$(id -u)" = 0 ] || echo "a cluster needs root: the tests on a cluster will be skipped"

# torch is pinned by its public version alone, so that a CPU build on disk satisfies it; what a CUDA build needs
# (nvidia-*, triton) follows from torch's own exact pins and is left out.
lock:
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet 'torch==2.13.0' hatchling editables
	.lock-venv/bin/pip install --quiet --no-build-isolation --editable '.[dev]'
	{ echo "# Made by 'make lock' from pyproject.toml; do not edit."; \
	  .lock-venv/bin/pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+).*/\1/' | grep -viE '^(nvidia-|triton|mvcgc)'; } > requirements.lock
	rm -rf .lock-venv

clean:
	rm -rf $(VENV) .next
