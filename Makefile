# What people do with a checkout, and what CI does: the same commands.
# `make` alone prints the list; it is made from the `##` comments.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.SILENT:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3.11
BIN := .venv/bin
SIDELINE := $(BIN)/sideline
INSTALLED := .venv/.installed
# That must be free: 7 stay, the downloads go again.
TRAINING_GB := 11
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet

lower = $(shell tr A-Z a-z <<< '$(1)')

##@ The line

.PHONY: run
run: $(INSTALLED)  ## Run the line on booth pictures and watch it: CAPTURES=500 SEED=7 SCENARIO=flood INSPECTORS=2
	exec $(SIDELINE) run $(foreach option,CAPTURES SEED SCENARIO INSPECTORS RATE FAULTS,$(if $($(option)),--$(call lower,$(option)) $($(option))))

.PHONY: up
up: $(INSTALLED)  ## Start Kafka, Redis, Triton and the workers: INSPECTORS=2 EPCIS=1
	$(SIDELINE) up $(if $(INSPECTORS),--inspectors $(INSPECTORS)) $(if $(EPCIS),--epcis)

.PHONY: down
down: $(INSTALLED)  ## Stop everything that `make up` started
	$(SIDELINE) down

.PHONY: status
status: $(INSTALLED)  ## Show what runs and how it is
	$(SIDELINE) status

##@ Checks

.PHONY: test
test: $(INSTALLED) .venv-training/.installed  ## Everything CI checks: lint, types, import contracts and all tests, training included
	$(BIN)/python tests/run.py

.PHONY: unit
unit: $(INSTALLED)  ## Tests that need no server
	$(BIN)/python -m pytest -m "not slow" tests/unit tests/contract

.PHONY: integration
integration: $(INSTALLED)  ## Tests on real Kafka, Redis and Triton, started for them
	$(BIN)/python -m pytest tests/integration

.PHONY: lint
lint: $(INSTALLED)  ## Style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: $(INSTALLED)  ## Types of code and tests
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests

.PHONY: format
format: $(INSTALLED)  ## Rewrite the code in the one style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: fuzz
fuzz: $(INSTALLED)  ## Every decoder of outside bytes under a fuzzer: SECONDS=300 TARGET=codes SEED=1
	$(BIN)/python -m tests.fuzz.run $(foreach option,SECONDS TARGET SEED,$(if $($(option)),--$(call lower,$(option)) $($(option))))

.PHONY: chaos
chaos: $(INSTALLED)  ## Faults under load, drawn by seed, and a report: FAULTS=30 SEED="1 2 3" ONLY=redis-kill FRESH=1
	$(BIN)/python -m tests.chaos $(if $(FAULTS),--faults $(FAULTS)) $(foreach seed,$(SEED),--seed $(seed)) $(if $(ONLY),--only $(ONLY)) $(if $(FRESH),--fresh)

.PHONY: alerts
alerts: $(INSTALLED)  ## Every alert fires and stays quiet as its cases say, under promtool and a real Prometheus
	$(BIN)/python -m pytest -q tests/contract/test_alerts.py

.PHONY: overload
overload: $(INSTALLED)  ## Twice the capacity for MINUTES=2, and what comes of it; NAMELESS=1 of captures without a code
	$(BIN)/python -m tests.chaos.overload $(if $(MINUTES),--minutes $(MINUTES)) $(if $(NAMELESS),--nameless)

.PHONY: proof
proof: $(INSTALLED)  ## All of it in an hour: 30 faults, every fault point, planted mistakes on the full line, alerts, overload, a fuzzer
	$(BIN)/python -m tests.chaos --faults 30 --seed $(or $(SEED),1) --fresh
	$(BIN)/python -m pytest -q tests/chaos
	$(MAKE) alerts
	$(BIN)/python -m tests.chaos.overload
	$(BIN)/python -m tests.fuzz.run --seconds 120

.PHONY: bench-budget
bench-budget: $(INSTALLED)  ## Thresholds side by side on streams whose truth is known: SEEDS=30 CAPTURES=400000 STREAMS="heavy tails"
	$(BIN)/python -m bench.budget $(foreach option,SEEDS CAPTURES STREAMS,$(if $($(option)),--$(call lower,$(option)) '$($(option))'))

##@ What is generated and committed

.PHONY: schemas
schemas: $(INSTALLED)  ## JSON Schema, the AsyncAPI document and the reference pages
	$(BIN)/python -m streams.documents
	$(BIN)/python -m telemetry.document
	$(BIN)/python -m deploy.access_page

.PHONY: models
models: .venv-training/.installed  ## Render, train, export, calibrate and measure all models: SIZE=large needs a GPU, small two cores and 45 minutes
	.venv-training/bin/python -m training.recipe $(if $(SIZE),--size $(SIZE))

.PHONY: training
training: .venv-training/.installed  ## The environment that learns networks, with torch (5 GB); `make test` and `make models` make it too

.PHONY: requirements
requirements: .venv-tools/.installed  ## Pin what pyproject.toml asks for, with hashes; UPGRADE=1 for the newest
	compile() { \
	  .venv-tools/bin/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate "$$@"; \
	}
	compile pyproject.toml --group booth --group lab --group fuzz --group dev -o requirements/dev.txt
	# What workers install is what the tests ran on: the same versions, not merely the newest that fit.
	compile pyproject.toml --constraint requirements/dev.txt -o requirements/line.txt
	compile pyproject.toml --group booth --group lab --group training --group dev -o requirements/training.txt
	compile requirements/build.in -o requirements/build.txt
	compile requirements/tools.in -o requirements/tools.txt
	compile --no-deps requirements/triton.in -o requirements/triton.txt

##@ What others made

.PHONY: sbom
sbom: .venv-tools/.installed  ## What is installed, as CycloneDX JSON in build/sbom/: a file for each environment
	mkdir -p build/sbom
	for environment in line triton dev training build tools; do
	  # Its warning says that requirements list no dependencies of dependencies; they list all packages.
	  PYTHONWARNINGS=ignore .venv-tools/bin/cyclonedx-py requirements requirements/$$environment.txt --pyproject pyproject.toml \
	    --output-reproducible --validate -o build/sbom/$$environment.json
	  echo "build/sbom/$$environment.json: $$(grep -c '"bom-ref": "requirements-L' build/sbom/$$environment.json) packages, valid"
	done

.PHONY: audit
audit: .venv-tools/.installed  ## Known vulnerabilities of what is installed; asks a service on the internet: SERVICE=osv
	mkdir -p build
	if .venv-tools/bin/pip-audit --strict --require-hashes --no-deps --disable-pip --progress-spinner off \
	  --vulnerability-service $(or $(SERVICE),pypi) -r requirements/line.txt -r requirements/triton.txt >build/audit.txt 2>build/audit.err; then
	  echo "no known vulnerability in $$(cat requirements/{line,triton}.txt | grep -c ==) packages"
	elif grep -q '^Name' build/audit.txt; then
	  cat build/audit.txt
	  exit 1
	else
	  echo 'NOTHING WAS AUDITED: the advisory service cannot be reached or does not know a package. It said:' >&2
	  tail -n 1 build/audit.err >&2
	  exit 2
	fi

##@ This checkout

.PHONY: install
install: $(INSTALLED)  ## The virtual environment; every other command makes it when it is missing or outdated

.PHONY: clean
clean:  ## Stop the line and remove everything that git does not keep
	if [ -x $(SIDELINE) ]; then $(SIDELINE) down; fi
	rm -rf .venv .venv-training .venv-tools .sideline build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:  ## This list
	awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Debian ships Python without the part that makes virtual environments work.
.venv/bin/python:
	if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then
	  if ! command -v $(PYTHON) >/dev/null; then echo 'python3.11 is missing: sudo apt-get install python3.11 python3.11-venv' >&2; exit 1; fi
	  if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root='sudo -n'; else
	    echo 'python3.11 cannot make virtual environments: sudo apt-get install python3.11-venv' >&2; exit 1; fi
	  echo 'installing python3.11-venv with apt-get'
	  $$as_root apt-get install -qq -y --no-install-recommends python3.11-venv >/dev/null 2>&1 || {
	    $$as_root apt-get update -qq
	    $$as_root apt-get install -qq -y --no-install-recommends python3.11-venv >/dev/null
	  }
	fi
	$(PYTHON) -m venv .venv

$(INSTALLED): pyproject.toml requirements/build.txt requirements/dev.txt | .venv/bin/python
	echo 'installing into .venv'
	$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/dev.txt
	# The build tools were just installed by hash; an isolated build would fetch its own without one.
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv-training/.installed: pyproject.toml requirements/build.txt requirements/training.txt | .venv/bin/python
	for need in ". $(TRAINING_GB)" "$${TMPDIR:-/tmp} 4"; do
	  read -r place gb <<< "$$need"
	  free=$$(df -Pk "$$place" | awk 'NR == 2 { print int($$4 / 1e6) }')
	  if [ "$$free" -lt "$$gb" ]; then
	    echo "torch needs room: $$(realpath "$$place") has $$free GB free, $$gb are needed; make room, or set TMPDIR for the downloads" >&2; exit 1; fi
	done
	echo 'installing into .venv-training: torch is large'
	$(BIN)/python -m venv .venv-training
	.venv-training/bin/python $(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/training.txt
	.venv-training/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv-tools/.installed: requirements/tools.txt | .venv/bin/python
	$(BIN)/python -m venv .venv-tools
	.venv-tools/bin/python $(PIP_INSTALL) --require-hashes -r requirements/tools.txt
	touch $@
