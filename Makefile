# Every task of the project. Each sets up what it needs in .venv the first time and starts at once
# the next; it takes uv when that is on the PATH, else nothing but Python >= 3.11 with pip.
#
#   make test ARGS="-k lstm"       one test        make PYTHON=python3.13 test     another Python
#   make UV= test                  pip, not uv     make clean                      start afresh

PYTHON ?= python3
UV     := $(shell command -v uv 2>/dev/null)
VENV   := .venv
BIN    := $(VENV)/bin

RUN    := $(VENV)/.run-stamp
DEV    := $(VENV)/.dev-stamp
DOCS   := $(VENV)/.docs-stamp

ifdef UV
create  = $(UV) venv --quiet --seed --allow-existing \
            --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
install = $(UV) pip install --quiet --python $(BIN)/python
else
create  = $(PYTHON) -m venv $(VENV) && $(install) --upgrade "pip>=25.1"  # the first with --group
install = $(BIN)/python -m pip install --quiet
endif

# Two workers with a BLAS thread each: more threads than cores would fight.
pytest  = OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n 2

# Either is installed under one of these names; apt-get wants root, or sudo that asks nothing.
BROWSERS = chromium-headless-shell chromium chromium-browser google-chrome
BRIEFLY  = -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=60
admin    = $(if $(filter-out 0,$(shell id -u)),sudo -n) env DEBIAN_FRONTEND=noninteractive

.PHONY: help demo test test-fast test-gpu browser lint docs bench bench-gpu clean
.NOTPARALLEL:

help:  ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(RUN)  ## see Hessian-free optimization at work
	$(BIN)/minihf demo

test: $(DEV)  ## run all tests (ARGS="-k lstm" picks some)
	$(pytest) $(ARGS)

test-fast: $(DEV)  ## run the tests that take no time, with fewer examples
	$(pytest) --minihf-profile dev -m "not slow" $(ARGS)

test-gpu: $(DEV)  ## run the tests that need a GPU, and say why if they are skipped
	$(BIN)/pytest -m gpu -rs $(ARGS)

browser:  ## install Chromium, in which the report's page is tested, by apt-get
	@for name in $(BROWSERS); do command -v $$name && exit; done; \
	$(admin) apt-get -qq $(BRIEFLY) update && \
	$(admin) apt-get -qq $(BRIEFLY) -y --no-install-recommends install $(firstword $(BROWSERS)) >/dev/null

lint: $(DEV)  ## check style, types, the order of imports and spelling
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

docs: $(DOCS)  ## build the book, running every page, into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(RUN)  ## time products next to bare matrix products, and to other libraries if installed
	$(BIN)/minihf bench $(ARGS)

bench-gpu: $(RUN)  ## the same on a GPU, next to its rate of matrix products; without one, say why not
	$(BIN)/minihf bench --gpu $(ARGS)

clean:  ## remove all that make made, .venv too
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf build dist docs/_build minihf-demo.* [0-9][0-9]_*.png examples/*.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only after its installation has succeeded.

$(VENV)/.python-stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
	  "minihf needs Python 3.11 or newer, and $(PYTHON) is not: try make PYTHON=python3.13" >&2; exit 1; }
	@echo "Setting up $(VENV): a minute or two, once."
	@$(create)
	@touch $@

$(RUN): pyproject.toml | $(VENV)/.python-stamp
	@$(install) --editable .
	@touch $@

$(VENV)/.%-stamp: pyproject.toml $(RUN)
	@$(install) --group $*
	@touch $@
