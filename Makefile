# make demo   sets everything up and runs the main job
# make test   sets everything up and runs the checks and the tests
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# What goes into images: the same versions, without what only developers need.
LOCK_IMAGE = .venv-lock/bin/uv pip compile pyproject.toml --constraint requirements.lock --python-platform linux --python-version 3.13 --generate-hashes --no-header --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench chaos lock schemas clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Trunkline needs Python 3.11 or newer, %s is %d.%d; set PYTHON=/path/to/python" % ((sys.executable,) + sys.version_info[:2]))'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(INSTALLED)

setup: $(INSTALLED)

demo: setup
	@$(BIN)/trunkline demo

# make check   lint, types and import contracts only
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# make bench NAME=fan4   one benchmark; writes benchmarks/results/<name>.json
bench: setup
	$(BIN)/python -m benchmarks $(NAME)

# make chaos [JOBS=… MINUTES=… SEED=…]   everything goes wrong for ten minutes; writes benchmarks/results/chaos.json
chaos: setup
	$(BIN)/python -m tests.chaos $(if $(JOBS),--jobs $(JOBS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

# make schemas   writes schemas/json/ anew
schemas: setup
	$(BIN)/python -m schemas.generate

# make lock   resolves the newest versions that fit pyproject.toml
lock:
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile pyproject.toml --group dev --extra postgres --universal --generate-hashes --no-header --quiet --output-file requirements.lock
	$(LOCK_IMAGE) --output-file deploy/requirements.lock
	$(LOCK_IMAGE) --extra postgres --output-file deploy/requirements-postgres.lock
	@rm -rf .venv-lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
