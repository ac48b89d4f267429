# Every command runs in .venv, which tools/setup.sh makes from the locks when it has to.
SHELL := /bin/bash
# On Linux what a recipe runs ends with Make, and DVC with the recipe, should one of them be killed.
ifneq ($(shell command -v setpriv 2>/dev/null),)
TIED := setpriv --pdeathsig KILL
SHELL := setpriv
.SHELLFLAGS := --pdeathsig KILL /bin/bash -c
endif
.DEFAULT_GOAL := help
.PHONY: help repro bench stale check review comment pull push publish step-summary predict test torture quick ui \
	track lint format lock clean setup

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON BASE OUT VARIANTS BRANCH NAMES JOBS RAY_ADDRESS
export MLFLOW_DISABLE_TELEMETRY := 1
PORT ?= 5000

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

setup:
	@tools/setup.sh

repro: setup ## run the study: whatever is not up to date (VARIANTS="relu swish"; JOBS=4), a summary
	@set -f; python -m stages.validate $$VARIANTS
	@python -m tools.recover
	@set -f; if test -n "$$VARIANTS" || test -z "$$JOBS$$RAY_ADDRESS"; \
		then $(TIED) python -m dvc repro $$(for v in $$VARIANTS; do echo "extract@$$v"; done); \
		elif test -n "$$RAY_ADDRESS"; \
		then $(TIED) python -m cluster --address "$$RAY_ADDRESS" --env MLFLOW_TRACKING_URI; \
		else MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}" \
			$(TIED) python -m cluster --jobs "$$JOBS"; fi
	@test -n "$$VARIANTS" || python -m stages.track # in case MLflow's store is another, or gone
	@python -m tools.summary

stale: setup ## name the stages that dvc.lock is behind on, data or no data; fail if there are any
	@python -m tools.stale

check: setup ## fail if a health verdict is not what params.yaml expects
	@python -m tools.check

review: setup ## what the branch changes in the study, as Markdown (BASE=origin/main OUT=file)
	@python -m tools.review --base "$${BASE:-origin/main}" $${OUT:+--out "$$OUT"}

comment: setup # for CI: keep the pull request's one comment up to date with what `review` wrote
	@python -m tools.comment "$$OUT"

pull: setup # for CI: fetch data, models and the run cache from the DVC remote, if there is one
	@if [ -n "$$(python -m dvc remote list)" ]; then python -m dvc pull --run-cache --allow-missing; \
		else echo "no DVC remote is set up: what is missing is computed here (docs/ci.md)"; fi

push: setup # for CI: send them there
	@if [ -n "$$(python -m dvc remote list)" ]; then python -m dvc push --run-cache; \
		else echo "no DVC remote is set up: nothing is sent (docs/ci.md)"; fi

publish: # for CI: commit dvc.lock and reports/ to BRANCH and push it
	@git add dvc.lock reports
	@git diff --cached --quiet || { git -c user.name=study -c user.email=study@localhost \
		commit -q -m "Reproduce the study" && git push origin "HEAD:refs/heads/$$BRANCH"; }

step-summary: # for CI: show the report on the job's page
	@cat reports/README.md >> "$$GITHUB_STEP_SUMMARY"

bench: setup ## measure speed against the alternatives (NAMES="training recording": of these)
	@uv pip install --quiet --require-hashes -r requirements-bench.lock
	@set -f; python -m benchmarks $$NAMES

predict: setup ## what theory says of a variant, without training (V=relu THRESHOLD=1e-7)
	@python -m tools.predict $(V) $(if $(THRESHOLD),--threshold $(THRESHOLD))

test: setup ## run the tests
	@python -m pytest

torture: setup ## inject faults into the pipeline for ten minutes, and count (WRITE=1: into the docs)
	@python -m tests.torture $(if $(WRITE),--write)

quick: setup ## every variant for one epoch, in a scratch copy: results here stay as they are
	@python -m tools.quick

ui: setup ## browse the runs in MLflow on 127.0.0.1 (PORT=5000)
	@python -m mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(PORT)

track: setup ## mirror the results in MLflow (MLFLOW_TRACKING_URI names another store)
	@python -m stages.track --insist

lint: setup ## check format, style, docstrings and types
	@ruff format --check .
	@ruff check .
	@mypy

format: setup ## format the code
	@ruff format .
	@ruff check --fix .

lock: ## renew the locks from pyproject.toml, keeping versions that still fit
	@test -x .venv/bin/uv || tools/setup.sh
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev --extra cluster pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev --extra cluster --extra bench -c requirements.lock \
		pyproject.toml -o requirements-bench.lock
	@echo uv | uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" - -o requirements-uv.lock

clean: ## remove the environment, the scratch copy and tools' caches; data and results stay
	@rm -rf .venv .quick .mypy_cache .pytest_cache .ruff_cache
	@find stages tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
