# make demo | make test | make lint | make bench | make clean
PYTHON ?= $(shell sh scripts/find_python)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN ?= runs/demo
DEMO_STEPS ?= 4000000

.PHONY: setup demo test lint bench clean

setup: $(VENV)/.ready

# constraints.txt holds exact, tested versions; one build serves demo, tests and lint.
$(VENV)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "mtbench needs Python 3.12 or newer, on PATH or under ~/.pyenv: install it, or run make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/mtbench train STARTER --run-dir $(RUN) --total-steps $(DEMO_STEPS) $(if $(wildcard $(RUN)/run.json),--resume)
	@$(BIN)/mtbench eval $(RUN) --force
	@$(BIN)/mtbench render $(RUN) --rows 1 --force

# The tests run against the wheel, installed on its own, from another folder: what users get.
test: setup lint
	@sh scripts/test_wheel $(VENV)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup
	@sh scripts/bench $(VENV)

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info
