# Every command runs in .venv, which tools/setup.sh makes from the locks when it has to.
# On Linux the processes of a recipe end with Make, should it be killed. RHEL 8's setpriv cannot.
ifneq ($(shell setpriv --pdeathsig KILL echo works 2>/dev/null),)
SHELL := setpriv
.SHELLFLAGS := --pdeathsig KILL /bin/bash -c
else
SHELL := /bin/bash
endif
.DEFAULT_GOAL := help
.PHONY: help repro study bench stale check review comment pull push publish site step-summary predict remedy article test torture \
	quick ui track lint format lock clean setup

# These settings are given on Make's command line alone: the environment may have variables of the
# same names that are meant for other programs. Their text is taken as it is, a $ included.
SETTINGS := PYTHON BASE OUT VARIANTS SEEDS BRANCH NAMES JOBS RAY_ADDRESS WEIGHTS NAME V THRESHOLD \
	STUDY PORT QUICK WRITE PULL_REQUEST RESULTS
$(foreach name,$(SETTINGS),$(eval override $(name) := \
	$(if $(findstring command,$(origin $(name))),$$(value $(name)))))
# A Git hook, a notebook or an outer pipeline sets them, or a person for other programs
# (vanishing/environment.py has the list of the commands in Python).
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY GIT_COMMON_DIR \
	DVC_STAGE DVC_ROOT MPLBACKEND MATPLOTLIBRC BASH_ENV ENV SHELLOPTS BASHOPTS \
	PYTHONHOME PYTHONINSPECT PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONUSERBASE PYTHONWARNINGS
override PATH := $(CURDIR)/.venv/bin:$(PATH)
export PATH
# The code is this checkout's from every folder of it, and modules of another place are not found.
export PYTHONPATH := $(CURDIR)
export $(SETTINGS)
export MLFLOW_DISABLE_TELEMETRY := 1
override PORT := $(or $(PORT),5000)
override STUDY := $(or $(STUDY),.)

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'
	@echo "  STUDY=studies/NAME with any of repro, stale, check, review, track, ui, quick, torture, predict"

setup:
	@tools/setup.sh

repro: setup ## run the stages that are not up to date (VARIANTS="relu swish" SEEDS="0 1"; JOBS=4)
	@cd "$$STUDY" && python -m tools.repro --variants "$$VARIANTS" --seeds "$$SEEDS" \
		$${JOBS:+--jobs "$$JOBS"} $${RAY_ADDRESS:+--address "$$RAY_ADDRESS"}

study: setup ## begin another study, a copy of params.yaml in studies/NAME (NAME=depths)
	@python -m tools.study "$$NAME"

stale: setup ## name the stages that dvc.lock is behind on, data or no data; fail if there are any
	@cd "$$STUDY" && python -m tools.stale

check: setup ## fail if a health verdict is not what params.yaml expects
	@cd "$$STUDY" && python -m tools.check

review: setup ## what the branch changes, as Markdown with a figure (BASE=origin/main OUT=review.md)
	@python -m tools.review --base "$${BASE:-origin/main}" $${OUT:+--out "$$OUT"} \
		$$(test "$$STUDY" = . || echo "--study $$STUDY") $${RESULTS:+--results "$$RESULTS"} \
		$${PULL_REQUEST:+--pull-request "$$PULL_REQUEST"}

comment: # for CI: keep the pull request's one comment up to date with what `review` wrote
	@gh pr comment "$${PULL_REQUEST:?is not set; it should be the number of the pull request}" \
		--repo "$$GITHUB_REPOSITORY" --edit-last --create-if-none --body-file "$$OUT"

pull: setup ## fetch the tables from the DVC remote, if there is one (WEIGHTS=1: and the weights)
	@python -m tools.pull $${WEIGHTS:+--weights}

push: setup # for CI: send everything there
	@python -m tools.push

publish: # for CI: commit dvc.lock and reports/, of every study, to BRANCH and push it
	@python -m tools.publish "$$BRANCH"

site: setup # for CI: put the pages to explore of all studies into site/
	@python -m tools.site

step-summary: # for CI: show the report on the job's page
	@cat "$$STUDY/reports/README.md" >> "$$GITHUB_STEP_SUMMARY"

bench: setup ## measure speed against the alternatives (NAMES="training recording": of these)
	@uv pip install --quiet --require-hashes -r requirements-bench.lock
	@set -f; python -m benchmarks $$NAMES

predict: setup ## what theory says of a variant, without training (V=relu THRESHOLD=1e-7)
	@cd "$$STUDY" && vanishing predict "$$V" $${THRESHOLD:+--threshold "$$THRESHOLD"}

remedy: setup ## what helps a variant that does not learn, because it is tried (V=sigmoid)
	@cd "$$STUDY" && python -m stages remedy "$$V" && cat "reports/remedies/$$V.md"

article: setup ## what the article's remedies gain, cost, and where they stop: renew its page
	@python -m tools.remedies_of_article

test: setup ## run the tests, side by side (QUICK=1: without those that take seconds)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} python -m pytest -n logical --maxprocesses 4 \
		--dist worksteal $(if $(QUICK),-m "not slow")

torture: setup ## inject faults into the pipeline for ten minutes, and count (WRITE=1: into the docs)
	@python -m tests.torture $(if $(WRITE),--write) $$(test "$$STUDY" = . || echo "--study $$STUDY")

quick: setup ## every variant on few images, in a scratch copy: results here stay as they are
	@python -m tools.quick --study "$$STUDY"

ui: setup ## open the study's runs in MLflow, on 127.0.0.1 (PORT=5000)
	@cd "$$STUDY" && exec python -m tools.ui --port "$$PORT"

track: setup ## mirror the results in MLflow (MLFLOW_TRACKING_URI names another store)
	@cd "$$STUDY" && python -m stages track --insist

lint: setup ## check format, style, docstrings, types and which module may import which
	@ruff format --check .
	@ruff check .
	@mypy
	@lint-imports --no-cache --no-logo

format: setup ## format the code
	@ruff format .
	@ruff check --fix .

lock: ## renew the locks from pyproject.toml, keeping versions that still fit
	@test -x .venv/bin/uv || tools/setup.sh
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra all --extra dev pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --extra all --extra dev --extra bench -c requirements.lock \
		pyproject.toml -o requirements-bench.lock
	@echo uv | uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" - -o requirements-uv.lock

clean: ## remove the environment, the scratch copy and tools' caches; data and results stay
	@rm -rf .venv .quick .mypy_cache .pytest_cache .ruff_cache
	@find benchmarks cluster stages tests tools vanishing -name __pycache__ -type d -prune -exec rm -rf {} +
