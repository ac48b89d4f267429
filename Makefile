# Every command runs in .venv, which tools/setup.sh makes from the locks when it has to.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help repro stale check predict test quick ui track lint format lock clean setup

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
export MLFLOW_DISABLE_TELEMETRY := 1
PORT ?= 5000

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

setup:
	@tools/setup.sh

repro: setup ## run the study: whatever is not up to date, then a summary
	@python -m tools.validate
	@python -m dvc repro
	@python -m tools.summary

stale: setup ## name the stages that dvc.lock is behind on, data or no data; fail if there are any
	@! python -m dvc repro --dry --allow-missing 2>&1 | grep -E "^Running stage|^ERROR"

check: setup ## fail if a health verdict is not what params.yaml expects
	@python -m tools.check

predict: setup ## what theory says of a variant, without training (V=relu THRESHOLD=1e-7)
	@python -m tools.predict $(V) $(if $(THRESHOLD),--threshold $(THRESHOLD))

test: setup ## run the tests
	@python -m pytest

quick: setup ## every variant for one epoch, in a scratch copy: results here stay as they are
	@python -m tools.quick

ui: setup ## browse the runs in MLflow on 127.0.0.1 (PORT=5000)
	@python -m mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(PORT)

track: setup ## mirror the results in MLflow (MLFLOW_TRACKING_URI names another store)
	@python -m stages.track

lint: setup ## check format, style, docstrings and types
	@ruff format --check .
	@ruff check .
	@mypy

format: setup ## format the code
	@ruff format .
	@ruff check --fix .

lock: setup ## renew the locks from pyproject.toml, keeping versions that still fit
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock
	@echo uv | uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" - -o requirements-uv.lock

clean: ## remove the environment, the scratch copy and tools' caches; data and results stay
	@rm -rf .venv .quick .mypy_cache .pytest_cache .ruff_cache
	@find stages tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
