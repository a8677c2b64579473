# Every target makes what it needs first: a fresh machine with Python ≥ 3.11, git and make is enough.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
SCALE ?= laptop
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
RAY := .venv-ray
PEERS := curvlinops-for-pytorch pyhessian loss-landscapes
FIGURES := poison-accuracy poison-boundaries perturbation-animation basin-rollout volume-gap minefield \
  large-batch-curves large-batch-interpolation large-batch-threshold large-batch-sharpness \
  interpolation-weight-decay slices-weight-decay surface-shortcuts surface-depth surface-width hessian-ratio \
  random-labels confusion width expected-sharpness perturbed-networks volume-batch-size measures-vs-gap invariance
SCALES := smoke laptop paper
KEPT := docs/tables
# Before a sweep of minutes, not after it.
one_of = @case " $(2) " in (*" $(1) "*) ;; (*) echo "there is no '$(1)'; known: $(2)" >&2; exit 2;; esac
# One thread each: two fighting threads are slower than one.
export OMP_NUM_THREADS := 1
# No rules of make's own: what is misspelt is no object file.
MAKEFLAGS += --no-builtin-rules

.PHONY: help setup quickstart test test-faults test-slurm test-ray check docs figures bench clean

help: ## this list
	@awk -F':.*## ' '/^[a-z%-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "figures: $(FIGURES)"

setup: $(READY) ## build .venv from constraints.txt with the package in it

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(READY) ## the poison sweep on embedded digits: table, figures, report
	$(BIN)/gensweep run experiment=quickstart
	$(BIN)/gensweep collect --experiment quickstart-laptop -o outputs/quickstart/table.parquet
	@for name in poison-accuracy volume-gap basin-rollout; do \
	  $(BIN)/gensweep figure $$name --table outputs/quickstart/table.parquet -o outputs/quickstart || exit; done
	$(BIN)/gensweep report --table outputs/quickstart/table.parquet -o outputs/quickstart/report.html

# Three, since a quarter of the time they wait for processes that they have started.
test: $(READY) ## the whole test suite
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-faults: $(READY) ## every fault of every kind, with the table fault × oracle
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m 'faults or fault'

test-slurm: $(READY) ## sweeps under a real Slurm, which it starts and stops; needs root, Debian's slurm-wlm and munge
	@command -v slurmctld munged >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends \
	  slurm-wlm munge >/dev/null; } || echo "no slurm-wlm and munge: what needs them is skipped, and says so"
	$(BIN)/python -m pytest tests/clusters -m slurm

test-ray: $(RAY)/.ready ## sweeps under a real Ray, in an environment of its own
	$(RAY)/bin/python -m pytest tests/clusters -m ray

# Ray's launcher wants a cloudpickle that joblib of today refuses, and by way of botocore an old dateutil.
$(RAY)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/pip install -qq --disable-pip-version-check \
	  -c <(grep -vE '^(cloudpickle|joblib|python-dateutil)==' constraints.txt) -e '.[dev,ray]'
	@touch $@

check: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## the page of each measure from its docstring, the gallery and the page on speed from kept tables
	$(BIN)/python docs/pages.py
	$(BIN)/python docs/gallery.py
	$(BIN)/python docs/speed.py

# A figure is drawn from what there is, and the exit code says whether that was all.
fig-%: $(READY) ## run the sweep of figure % at SCALE=smoke|laptop|paper, draw it
	$(call one_of,$*,$(FIGURES))
	$(call one_of,$(SCALE),$(SCALES))
	@$(BIN)/gensweep run experiment=$* +scale=$(SCALE); ran=$$?; [ $$ran -le 1 ] || exit $$ran; \
	 $(BIN)/gensweep collect --experiment $*-$(SCALE) -o outputs/$*-$(SCALE)/table.parquet; got=$$?; [ $$got -le 1 ] || exit $$got; \
	 $(BIN)/gensweep figure $* --table outputs/$*-$(SCALE)/table.parquet -o outputs/$*-$(SCALE) && exit $$((ran | got))

# At laptop scale from the tables in the repository, without training; KEPT= trains. One that fails does not stop the others.
figures: $(READY) ## all figures at SCALE
	$(call one_of,$(SCALE),$(SCALES))
	@failed=; for name in $(FIGURES); do \
	   if [ "$(SCALE)" = laptop ] && [ -n "$(KEPT)" ]; then $(BIN)/gensweep figure $$name --table $(KEPT) -o outputs/figures-laptop; \
	   else $(MAKE) --no-print-directory fig-$$name SCALE=$(SCALE); fi || failed="$$failed $$name"; done; \
	 [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# Images are real where GENSWEEP_DATA has them, else made up. benchmarks/training.py (20 networks, six minutes) and
# benchmarks/overhead.py (whole sweeps) are commands of their own.
bench: $(BENCH)/.ready ## every measure beside peers and exact answers, then the speed ratios against peers, as tables
	@$(BENCH)/bin/python benchmarks/agreement.py; agreed=$$?; \
	 $(BENCH)/bin/python benchmarks/speed.py -o outputs/bench/speed.csv && exit $$agreed

# Peers never touch .venv, and one that cannot be installed is missing in the table, which says so.
$(BENCH)/.ready: pyproject.toml constraints.txt benchmarks/constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install -qq --disable-pip-version-check -c benchmarks/constraints.txt -e .
	for peer in $(PEERS); do $(BENCH)/bin/pip install -qq --disable-pip-version-check -c benchmarks/constraints.txt $$peer \
	  || echo "$$peer could not be installed; the table goes on without it"; done
	@# curvlinops pulls it in and does without it; one that does not fit torch breaks the import of torchmetrics.
	@$(BENCH)/bin/python -c 'import torchvision' 2>/dev/null || { echo "torchvision does not fit this torch: taken out again"; \
	  $(BENCH)/bin/pip uninstall -qq --disable-pip-version-check -y torchvision; }
	@touch $@

clean: ## delete the environments; outputs stay
	rm -rf $(VENV) $(BENCH) $(RAY)
