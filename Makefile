# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/spoken-digits
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow nightly lint types imports tests links docs reference composition clean

demo: $(VENV)/.installed
	$(BIN)/stillhouse search examples/spoken_digits.yaml --out $(OUT) --overwrite

test: $(VENV)/.installed-dev lint types imports tests

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

# Benchmarks, by hand or at night on a quiet machine: tables, and JSON in $(NIGHTLY).
NIGHTLY ?= build/benchmarks
BENCH   := OMP_NUM_THREADS=1 $(BIN)/python benchmarks

nightly: $(VENV)/.installed-benchmarks
	$(BENCH)/nas_bench_201.py --cells $(NIGHTLY)/nas_bench_201 --out $(NIGHTLY)/nas_bench_201.json
	$(BENCH)/constrained_problems.py --out $(NIGHTLY)/constrained_problems.json
	$(BENCH)/scaling.py --out $(NIGHTLY)/scaling.json
	$(BENCH)/samplers.py --out $(NIGHTLY)/samplers.json
	$(BENCH)/cost_columns.py --out $(NIGHTLY)/cost_columns.json
	$(BENCH)/repeatability.py --out $(NIGHTLY)/repeatability.json
	$(BENCH)/latency_predictor.py --out $(NIGHTLY)/latency_predictor.json
	$(BENCH)/supernet.py --runs $(NIGHTLY)/supernet --out $(NIGHTLY)/supernet.json
	$(BENCH)/hints_exact.py --out $(NIGHTLY)/hints_exact.json
	$(BENCH)/hints.py --runs $(NIGHTLY)/hints --out $(NIGHTLY)/hints.json
	$(BENCH)/certification.py --out $(NIGHTLY)/certification.json

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev links
	MYPYPATH=build/src $(BIN)/mypy -p stillhouse.core -p stillhouse.plugins -p stillhouse.search_spaces

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

# The site, strict: any warning fails. Needs no network.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -q -n -W --keep-going -b html -d build/site-cache docs build/site

# Generated pages: seconds from the catalogue; minutes by carrying out every pair of methods.
reference: $(VENV)/.installed-dev
	$(BIN)/python -m stillhouse.core.reference docs tests

composition: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/plugins/composition/write.py

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

$(VENV)/.installed-benchmarks: $(VENV)/.installed-dev
	$(PIP) -e ".[benchmarks]"
	touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
