# Everything that a person does with Sightsmith from a checkout. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
API := shared/sightsmith/api
GENERATED := build/.generated
GOOGLE_PROTOS := build/googleapis
PROTOS := $(shell find protos -name '*.proto')

##@ Use it
.PHONY: help demo run
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ready ## Run the main job on demo photos, or on DATA=FOLDER/<label>/*.jpg, and write demo-report/.
	@$(BIN)/sightsmith demo --report demo-report $(if $(DATA),--data "$(DATA)")

run: ready ## Start the whole stack in the foreground; Ctrl-C stops it.
	@exec $(BIN)/sightsmith up

##@ Work on it
.PHONY: install proto ready lint format types unit integration e2e test bench docs clean
install: $(INSTALLED) ## Make the virtual environment and install everything into it.
proto: $(GENERATED) ## Generate code from the protos.
ready: $(INSTALLED) $(GENERATED)

lint: ready ## Check style, of Python with ruff and of the protos with buf.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos

format: ready ## Put Python and protos into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format --write protos

types: ready ## Check types with mypy, strictly.
	$(BIN)/mypy

unit: ready ## Run the tests that need no server.
	$(BIN)/pytest tests/unit

integration: ready ## Run the tests against real PostgreSQL, NATS, Triton and object stores.
	$(BIN)/pytest tests/integration

e2e: ready ## Run the main job through every process as a client.
	$(BIN)/pytest tests/e2e

# The unit tests keep one core busy and the others mostly wait for servers: side by side they take little longer than one.
test: lint types ## Run everything that must pass: style, types and every test.
	@mkdir -p build
	@echo 'Unit tests run beside the others; what they say comes at the end and is in build/unit-tests.log.'
	@OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit >build/unit-tests.log 2>&1 & unit=$$!; failed=; \
	  $(BIN)/pytest tests/integration tests/e2e || failed=yes; \
	  wait $$unit || failed=yes; cat build/unit-tests.log; test -z "$$failed"

bench: ready ## Measure speed and quality; ONLY=part for one part, DATA_DIR=folder with photos.zip and logos.zip.
	$(BIN)/python -m tests.perf.bench --data-dir "$(or $(DATA_DIR),../shared/data)" $(if $(ONLY),--only $(ONLY))

docs: ready ## Write docs/api.md from the protos.
	$(BIN)/python -m docs.generate_api_reference

clean: ## Remove what was built; the virtual environment stays.
	rm -rf build $(API) demo-report bench-report.json
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: $(PYTHON) was not found. Pass PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Could not make a virtual environment; on Debian: apt-get install python3.11-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --editable '.[labeling,training,inference,video,embedded,ray,dev]'
	$(BIN)/python -m pip install --progress-bar on --no-deps nvidia-pytriton==0.7.0
	@touch $@

# Google's protos come from the installed package; protoc and buf read the same copies.
$(GENERATED): $(INSTALLED) $(PROTOS)
	@rm -rf $(API) $(GOOGLE_PROTOS)
	@mkdir -p $(GOOGLE_PROTOS)/google/api $(GOOGLE_PROTOS)/google/rpc
	@site=$$($(BIN)/python -c 'import google.rpc; print(google.rpc.__path__[0] + "/..")'; ); \
	for name in api/field_behavior api/resource rpc/status rpc/code rpc/error_details; do \
	  cp "$$site/$$name.proto" "$(GOOGLE_PROTOS)/google/$$name.proto"; \
	done
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I$(GOOGLE_PROTOS) \
	  --python_out=shared --grpc_python_out=shared --mypy_out=quiet:shared --mypy_grpc_out=quiet:shared $(PROTOS)
	@touch $@
