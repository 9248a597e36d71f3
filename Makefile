# The commands of this project; `make` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXAMPLE ?= example_suites/seed_macvlan
# Where an interpreter is not on PATH but known to pyenv, tox finds it there.
PYENV_BINS := $(subst $() ,:,$(wildcard $(HOME)/.pyenv/versions/3.1[1-9]*/bin))
export PATH := $(PATH):$(PYENV_BINS)

.DEFAULT_GOAL := help
.PHONY: all bench differential docs example help lint parity soak test

all: lint test ## What to run before a commit

bench: $(BIN)/.installed ## Measure the figures of docs/performance.md, as ratios
	$(BIN)/python -m benchmarks

differential: $(BIN)/.installed ## Native CNI plugins against the real binaries, thousands of configurations
	MULTINET_DIFFERENTIAL_EXAMPLES=500 $(BIN)/pytest tests/differential

docs: $(BIN)/.installed ## Regenerate the generated pages and check the links of the docs
	$(BIN)/python -m pytest_multinet.diagnosis.symptoms > docs/symptoms.md
	$(BIN)/pytest -q tests/unit/test_docs.py

example: $(BIN)/.installed ## Run the example suite on the embedded backend
	$(BIN)/pytest $(EXAMPLE) -v

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

lint: $(BIN)/.installed ## Format check, ruff, pyright
	$(BIN)/tox run -q -e lint

parity: $(BIN)/.installed ## Compare embedded with a real kind cluster, and record both in docs/parity.md
	rm -f tests/parity/verdicts.yaml
	MULTINET_TEST_PARITY_RECORD=1 MULTINET_REQUIRE=kind $(BIN)/pytest tests/parity

soak: $(BIN)/.installed ## Long runs: 1,000 seed runs, 200 kills, 32 on kind; prints a summary
	$(BIN)/python -m tests.soak

test: $(BIN)/.installed ## Every test that can run here; names what it skipped
	$(BIN)/tox run

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev -e .
	touch $@
