# make demo | make test | make lint | make pictures | make bench | make clean
PYTHON ?= $(shell sh scripts/find_python)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN ?= runs/demo
DEMO_STEPS ?= 4000000
SHOWN := staircase_walking box_jump_uneven flush_a_frame quadruped-push-box \
	walker-run walker-stairs humanoid-walk humanoid-run

.PHONY: setup demo test lint pictures bench clean

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

# The README's pictures and video: every family, and oracles on their ground.
pictures: setup
	@$(BIN)/mtbench render MT50 --stills docs/images/families.png --force
	@$(BIN)/mtbench render GOALS26 --stills docs/images/goals.png --columns 6 --force
	@$(BIN)/mtbench render LOCO-MT --stills docs/images/legs.png --columns 4 --force
	@$(BIN)/mtbench render LOCO-MT --out docs/images/legs.webp --families $(SHOWN) \
		--rows 2 --columns 4 --width 240 --height 180 --seconds 8 --fps 12 --force

bench: setup
	@sh scripts/bench $(VENV)

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info
