# `make help` lists the targets. PYTHON= chooses the interpreter, VENV= the environment's folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.quantune-installed

.PHONY: help venv kernels demo test check-ruff check-mypy check-lit check-pytest arm-emulation bench search train-zoo accuracy docs clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## create the environment with pinned dependencies and the project (editable)

# Only pyproject.toml decides what is installed; an unchanged one makes this a no-op.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Quantune needs Python 3.11, $(PYTHON) is another version: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install -qq --disable-pip-version-check --editable '.[dev,demo]'
	@touch "$@"

# Ninja knows what is stale, so this is quick when no C file has changed.
kernels: venv ## rebuild the microkernels' bitcode after editing their C
	@"$(BIN)/cmake" -S . -B build/kernels -G Ninja \
	  -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" -DQUANTUNE_PYTHON="$(abspath $(BIN)/python)" >/dev/null
	@"$(BIN)/cmake" --build build/kernels

demo: kernels ## quantize EfficientNet-Lite0, compare fp32/int8/v2, write build/demo/report.html
	"$(BIN)/python" tools/demo.py

test: venv kernels arm-emulation ## everything that CI runs: ruff, mypy, lit + filecheck, pytest
	@$(MAKE) --keep-going --no-print-directory check-ruff check-mypy check-lit check-pytest

check-ruff: venv
	"$(BIN)/ruff" check
	"$(BIN)/ruff" format --check

check-mypy: venv
	"$(BIN)/mypy"

check-lit: kernels
	"$(BIN)/lit" -v test/passes

check-pytest: kernels
	"$(BIN)/python" -m pytest -n auto --dist worksteal

# Best effort: without an emulator the Arm tests are skipped and say so.
arm-emulation: venv ## set up what runs 64-bit Arm modules on this machine
	-@"$(BIN)/python" tools/arm_emulation.py

# What is measured already is kept: ARGS=--again measures all anew, ARGS='squeezenet --threads 1' a part.
bench: kernels ## time the zoo against OpenVINO, ONNX Runtime and IREE, write docs/results (an hour)
	@"$(BIN)/python" -c 'from quantune.peers import PEERS, check_installed; check_installed([*PEERS])' 2>/dev/null || \
	  "$(BIN)/python" -m pip install -qq --disable-pip-version-check --editable '.[bench]'
	"$(BIN)/python" tools/bench.py $(ARGS)

# TRIALS names a CSV of measured trials of several networks (docs/search.md says what is in it). What is measured already is kept.
search: kernels ## replay measured trials with every strategy, TRIALS=FILE, and compare AMED on the trained zoo; write docs/results/search.*, amed.* (an hour)
	@test -n "$(TRIALS)" || { echo "name the measured trials: make search TRIALS=trials.csv" >&2; exit 1; }
	@"$(BIN)/python" -c 'from quantune.search.packages import check_installed; check_installed()' 2>/dev/null || \
	  "$(BIN)/python" -m pip install -qq --disable-pip-version-check --editable '.[search]'
	"$(BIN)/python" tools/search.py "$(TRIALS)" $(ARGS)
	"$(BIN)/python" tools/amed_study.py

# Goes on where it was interrupted; ARGS=--again trains all anew, ARGS='resnet18 --epochs 3' a part.
train-zoo: venv ## train the 32x32 models on Fashion-MNIST, write python/quantune/zoo/weights (two hours)
	"$(BIN)/python" tools/train_zoo.py $(ARGS)

# What is measured already is kept; ARGS='resnet18 --images 1000' for a part.
accuracy: kernels ## every method's accuracy on the trained zoo, in one table, write docs/results (an hour)
	@"$(BIN)/python" -c 'import nncf, openvino, onnxruntime' 2>/dev/null || \
	  "$(BIN)/python" -m pip install -qq --disable-pip-version-check --editable '.[accuracy]'
	"$(BIN)/python" tools/accuracy.py $(ARGS)

docs: venv ## regenerate docs/passes.md from the passes' docstrings
	"$(BIN)/python" tools/docs.py

clean: ## remove build products and the environment
	rm -rf build passes/ukernels/bitcode "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis
