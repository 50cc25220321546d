# Two commands: `make serve` opens the workbench, `make test` runs every test. Both do all set-up.
PYTHON ?= python3
PORT   ?= 8000
HOST   ?= 127.0.0.1
COURSE ?= example/course

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Of the package `fs`, which XBlock needs; constraints.txt pins the setuptools that it works with.
export PYTHONWARNINGS := ignore:pkg_resources is deprecated

.PHONY: help serve test check bench format constraints clean
help:            ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Fieldstone needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing (on Debian: apt install python3-venv)"; exit 1; }

$(VENV)/serve.stamp: pyproject.toml constraints.txt example/requirements.txt | $(BIN)/python
	@echo "Installing what the workbench and the example course need (once, about a minute) ..."
	@$(PIP) install --constraint constraints.txt --editable '.[workbench]' --requirement example/requirements.txt
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt example/requirements.txt | $(BIN)/python
	@echo "Installing what development and the tests need (once, about a minute) ..."
	@$(PIP) install --constraint constraints.txt --editable '.[dev]' --requirement example/requirements.txt
	@touch $@ $(VENV)/serve.stamp

serve: $(VENV)/serve.stamp  ## open the workbench; PORT=8000 COURSE=path/to/olx
	@$(BIN)/python example/manage.py workbench --course '$(COURSE)' --address $(HOST):$(PORT)

test: $(VENV)/dev.stamp     ## run every test, with the real servers
	@$(BIN)/python scripts/mysql_driver.py
	@$(BIN)/python scripts/with_servers.py -- $(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp    ## lint, types, layers, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python example/manage.py makemigrations --check --dry-run fieldstone_store fieldstone_kvs fieldstone_jobs

bench: $(VENV)/dev.stamp    ## measure against bare drivers and clients
	@$(BIN)/python scripts/mysql_driver.py
	@$(BIN)/python scripts/with_servers.py --only postgresql,mariadb,redis,memcached -- $(BIN)/python -m bench $(ARGS)

format: $(VENV)/dev.stamp   ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

constraints: $(VENV)/dev.stamp ## pin today's versions, after changing a dependency
	@{ echo "# Every version that the project is tested with; 'make constraints' writes this file."; \
	   $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | grep -E '^[A-Za-z0-9_.-]+=='; } > constraints.txt

clean:           ## remove the environment and the workbench's database
	@rm -rf $(VENV) var
