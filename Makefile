# upwell: `make` lists what there is; `make quickstart` goes from nothing to a model of your own.

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
SETUP = $(PYTHON) tools/setup.py $(if $(UV),--uv) $(if $(TORCH),--torch "$(TORCH)")
BIN = $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)

unexport PYTHONDONTWRITEBYTECODE  # else every process compiles torch's Python anew, which takes longer than its import

.DEFAULT_GOAL := help
.PHONY: help quickstart setup test test-all bench lint clean

help:  ## this list
	@echo "make quickstart   .venv, upwell with exact pins, then a model of your own; ARGS='--lang zh --minutes 10'"
	@echo "make setup        only .venv with upwell and what its tests need"
	@echo "make test         set up everything and run the tests, but for the slow ones"
	@echo "make test-all     the slow tests (long runs, the built wheel, peers)"
	@echo "make bench        us beside our peers, ratios printed; ARGS for bench/pretrain.py"
	@echo "make lint         ruff"
	@echo "make clean        remove what builds and tests left, but no run and no .venv"
	@echo ""
	@echo "WORKERS=4 runs tests in four processes (two else; 1 GB of memory each)."
	@echo "UV=1 installs with uv. PYTHON=python3.12 names the Python. TORCH='WORDS' is given to pip for torch:"
	@echo "a version, the path of a wheel, or an index (TORCH='torch --index-url ADDRESS')."

quickstart:
	@$(SETUP)
	@$(BIN)/upwell quickstart $(ARGS)

setup:
	@$(SETUP) --test

test:
	@$(SETUP) --test --browser
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

test-all:
	@$(SETUP) --test --browser
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m slow $(ARGS)

bench:
	@$(SETUP) --test
	$(BIN)/python bench/pretrain.py $(ARGS)

lint:
	@$(SETUP) --test
	$(BIN)/ruff check .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
