# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/spoken-digits
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow lint types imports tests links clean

demo: $(VENV)/.installed
	$(BIN)/stillhouse search examples/spoken_digits.yaml --out $(OUT) --overwrite

test: $(VENV)/.installed-dev lint types imports tests

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev links
	MYPYPATH=build/src $(BIN)/mypy -p stillhouse.core -p stillhouse.plugins -p stillhouse.search_spaces

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow"

# The three code folders as the one package that they install as, for tools that read files.
links:
	@mkdir -p build/src/stillhouse
	@for folder in core plugins search_spaces; do \
	  ln -sfn ../../../$$folder build/src/stillhouse/$$folder; done

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stillhouse needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e ".[dev]"
	touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
