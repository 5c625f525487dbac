# Two commands for a fresh machine with Python 3.11.4 or newer, git and make:
#   make demo    install, train on embedded data, evaluate, predict (about 4 minutes, most of it PyTorch's download)
#   make test    install with the tools of development, run the tests
#   make torture the whole of the fault suite (about an hour on 2 cores); writes its table to docs/reliability.md

NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))'
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p $(NEW_ENOUGH) >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := build/demo

.PHONY: help demo test torture check clean

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make check   ruff and mypy'
	@echo 'make clean   remove .venv, caches and build/ (runs/ and data/ stay)'

demo: $(VENV)/.installed
	@rm -rf $(DEMO)
	$(BIN)/eyas train digits --model compact --size 32 --epochs 8 --momentum 0.9 --lr 0.05 --flip 0 --val 0.1 --out $(DEMO)/run
	@echo
	$(BIN)/eyas evaluate $(DEMO)/run digits:test
	@echo
	@$(BIN)/eyas datasets digits --export $(DEMO)/images >/dev/null
	$(BIN)/eyas predict $(DEMO)/run $(DEMO)/images/test/00000.png $(DEMO)/images/test/00001.png --top 2
	@echo
	@echo 'Done. Where to look:'
	@echo '  $(DEMO)/run/report.html    the report, in a browser'
	@echo '  $(DEMO)/run       the run: models, metrics.csv, events.jsonl'
	@echo '  $(DEMO)/images    the images, as files and lists'
	@echo '  $(BIN)/tensorboard --logdir $(DEMO)/run    the curves and charts, in a browser'
	@echo '  README.md         what to do next, with your own pictures'

test: $(VENV)/.installed-dev
	@scripts/test

torture: $(VENV)/.installed-dev
	@$(BIN)/python scripts/torture

check: $(VENV)/.installed-dev
	@scripts/check

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/eyas.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says what the environment was installed from: without a change there is nothing to do.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing eyas and what it needs into $(VENV) (PyTorch is large: about 3 minutes) ...'
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing eyas, what it needs and the tools of development into $(VENV) (about 3 minutes) ...'
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(or $(PYTHON),false) $(NEW_ENOUGH) 2>/dev/null || { \
		echo 'eyas needs Python 3.11.4 or newer$(if $(PYTHON),; $(PYTHON) is not). Name one: make demo PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
