# `make` prints what there is. Every target does its own set-up; doing it again costs nothing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
export VENV
# `airflow standalone` starts `airflow` from PATH.
export PATH := $(BIN):$(PATH)

PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
SOAK_HISTORIES ?= 2000
SOAK_SECONDS ?= 600
# A place that PostgreSQL, which may run as another user, can reach.
SERVICES_DIRECTORY ?= /tmp/autostream-services-$(shell id -u)
export SOAK_HISTORIES SOAK_SECONDS

.PHONY: help setup demo demo-flink up services services-stop test test-integration soak lint format docs bench lock clean

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## create .venv from requirements.txt (Python 3.11; 250 MB, 1.1 GB on disk); at once when nothing changed
	@scripts/setup.sh

demo: setup ## seed a small lakehouse, compact it through Airflow, complete an hour for a workflow, judge three stand-in Flink jobs
	@scripts/demo.sh

demo-flink: setup ## run three jobs on a real Flink (330 MB to download, JDK 17) for four minutes, and show how they are
	@scripts/demo.sh --flink

up: setup ## start Airflow with the DAGs and the demo's lakehouse, ready to trigger; Ctrl-C ends it
	@scripts/up.sh

services: ## start ZooKeeper, HDFS and a Hive Metastore, and print what to export to use them as catalog `lake`
	@scripts/services/hadoop/lake.sh start "$(SERVICES_DIRECTORY)"

services-stop: ## stop them, and remove what is in them
	@scripts/services/hadoop/lake.sh stop "$(SERVICES_DIRECTORY)"

test: setup ## run all tests but the soak and the exhaustive ones, with branch coverage of include/
	@pytest -n $(PYTEST_WORKERS) -m "not soak and not exhaustive" --cov --cov-report=term $(PYTEST_ARGS)

test-integration: export AUTOSTREAM_REQUIRE_SERVICES = 1
test-integration: setup ## run the tests against real services, all combinations; one that cannot be had fails them
	@pytest -n $(PYTEST_WORKERS) -m "(integration or exhaustive) and not soak" $(PYTEST_ARGS)

soak: setup ## run the soaks: SOAK_HISTORIES (2000) random upserts; writers and recorded jobs killed for SOAK_SECONDS (600)
	@pytest -n $(PYTEST_WORKERS) -m soak -rP $(PYTEST_ARGS)

lint: setup ## check style, formatting, types and layers
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

format: setup ## mend what ruff can mend
	@ruff check --fix .
	@ruff format .

docs: setup ## write the parts of docs/ that are generated from the code
	@python scripts/docs.py

bench: setup ## measure speed and memory; figures and method are in docs/performance.md
	@python -m benchmarks

lock: setup ## renew requirements.txt from requirements.in and pyproject.toml
	@uv pip compile -q --upgrade --generate-hashes --python-version 3.11 --python-platform linux \
		--no-emit-index-url --no-emit-find-links --no-emit-package autostream \
		--custom-compile-command "make lock" --output-file requirements.txt requirements.in
	@scripts/setup.sh

clean: ## remove what the other targets made, .venv included
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage .coverage.* htmlcov build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
