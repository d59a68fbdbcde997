# The two commands of the README are `make demo` and `make test`; both set themselves up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIP := samples/astronaut.mp4
SCENE := samples/background.jpg

.PHONY: help demo test lint format wheel bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    matte a sample clip and say where the result is"
	@echo "make test    run the tests"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   speed of everything, with its quality (needs the test data; ARGS=--quick)"
	@echo "make wheel   build dist/*.whl"
	@echo "make clean   remove what these commands made"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "vmatte needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of requirements: installed again only when the project file changes.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "installing vmatte in $(VENV); the first time takes a minute or two"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	@echo "installing vmatte and its test tools in $(VENV); the first time takes a minute or two"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	@touch $@ $(VENV)/installed-test $(VENV)/installed

demo: $(VENV)/installed
	@mkdir -p out
	$(BIN)/vmatte run $(CLIP) -o out/demo.mp4 --background $(SCENE) --overwrite
	@echo "the result is in out/demo.mp4"

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/installed-dev
	$(BIN)/python -m build --wheel

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.suite $(ARGS)

clean:
	rm -rf $(VENV) out dist build
