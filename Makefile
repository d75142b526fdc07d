# Everything one does with this repository; `make` alone lists it.
VENV ?= .venv
ARGS ?=
SEED ?= $(shell git rev-parse --short=12 HEAD^{tree} 2>/dev/null || date +%F)
RUN := $(VENV)/bin
READY := $(VENV)/.ready
# the type checker of `make lint`, which brings its own node; not in the lock, as nothing else uses it
BASEDPYRIGHT := 1.40.2
CHECKER := $(VENV)/.basedpyright-$(BASEDPYRIGHT)
# sets $pip to the pip of the environment; one that uv made has none
SET_PIP = if [ -x $(RUN)/pip ]; then pip="$(RUN)/python -m pip --disable-pip-version-check"; \
	else pip="env VIRTUAL_ENV=$(abspath $(VENV)) uv pip"; fi
# versions that the lock knows, newest first; shims that answer to a name but cannot run are skipped
PYTHONS := python3.13 python3.12 python3.11 python3 python

.DEFAULT_GOAL := help
.PHONY: help setup train test test-slow test-tenth test-faults test-claims bench audit goldens configs lint lock clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install the locked packages

train: $(READY)  ## train a small BART on the embedded text; ARGS='trainer.steps=100' overrides
	@echo "fxformer train experiment=denoise_stdlib $(ARGS)"
	@$(RUN)/fxformer train experiment=denoise_stdlib $(ARGS)

test: $(READY)  ## the quick tests on all cores; ARGS='tests/test_config.py -x' narrows
	$(RUN)/python -m pytest -q -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: $(READY)  ## the tests that train for minutes, on all cores
	$(RUN)/python -m pytest -q -n auto --dist worksteal -m "slow and not faults and not claims" $(ARGS)

test-tenth: $(READY)  ## a tenth of the slow tests, drawn with SEED, which is the state of the files
	@echo "a tenth of the slow tests; this one again: make test-tenth SEED=$(SEED)"
	$(RUN)/python -m pytest -q -n auto --dist worksteal -m "slow and not faults and not claims" --slow-tenth=$(SEED) $(ARGS)

test-faults: $(READY)  ## kill a run at every change of the disk, resume, compare bit for bit; nightly
	$(RUN)/python -m pytest -q -m faults $(ARGS)

test-claims: $(READY)  ## run the study of every claim whole, and compare verdicts; hours
	$(RUN)/python -m pytest -q -m claims $(ARGS)

bench: $(READY)  ## speed and memory of a training step, side by side with a peer where it is installed
	$(RUN)/python -m benchmarks step $(ARGS)

audit: $(READY)  ## measure every objective against its law and write docs/objectives.md
	$(RUN)/python -m fxformer.cli.objectives_doc $(ARGS)

goldens: $(READY)  ## write tests/golden anew: configs, parameters, first steps
	$(RUN)/python tests/golden/write.py $(ARGS)

configs: $(READY)  ## write docs/configs.md anew: every config group, option and key
	@$(RUN)/python -m fxformer.config.reference > docs/configs.md.new && mv docs/configs.md.new docs/configs.md

lint: $(READY) $(CHECKER)  ## style, format and types of the sources
	$(RUN)/python -m ruff check fxformer tests benchmarks
	$(RUN)/python -m ruff format --check fxformer tests benchmarks
	$(RUN)/basedpyright --pythonpath $(RUN)/python fxformer

lock: $(VENV)/bin/python  ## write requirements.lock anew (needs uv, which it installs into .venv)
	@command -v uv >/dev/null || $(RUN)/python -m pip install -q uv
	@{ echo '# Every package, pinned and hashed, for Python 3.11 to 3.13 on any platform. `make lock`:'; \
	   echo '#   uv pip compile --universal --generate-hashes --python-version 3.11 --extra test pyproject.toml'; \
	   PATH="$(abspath $(RUN)):$$PATH" uv pip compile -q --no-config --universal --generate-hashes \
	     --python-version 3.11 --extra test --no-header --no-emit-index-url --no-emit-find-links \
	     pyproject.toml; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## remove the environment and caches; runs stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find fxformer tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@if command -v uv >/dev/null; then \
	    echo "creating $(VENV) with uv"; \
	    uv venv -q --python '>=3.11,<3.14' $(VENV) && exit 0; \
	fi; \
	for python in $(PYTHONS); do \
	    $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	        >/dev/null 2>&1 || continue; \
	    echo "creating $(VENV) with $$python"; \
	    $$python -m venv --clear $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	done; \
	echo "fxformer needs Python 3.11, 3.12 or 3.13; none of these runs here: $(PYTHONS)" >&2; exit 1

# Installs when the lock or the package's metadata has changed: .ready is a copy of both.
$(READY): requirements.lock pyproject.toml | $(VENV)/bin/python
	@if cat requirements.lock pyproject.toml | cmp -s - $@; then touch $@; exit 0; fi; \
	echo "installing the locked packages into $(VENV) (once; about 1.5 GB on disk)"; \
	$(SET_PIP); \
	$$pip install -q --require-hashes -r requirements.lock && \
	$$pip install -q --no-deps --no-build-isolation -e . && \
	cat requirements.lock pyproject.toml > $@

$(CHECKER): | $(READY)
	@echo "installing basedpyright $(BASEDPYRIGHT) into $(VENV)"; \
	$(SET_PIP); \
	$$pip install -q basedpyright==$(BASEDPYRIGHT) && touch $@
