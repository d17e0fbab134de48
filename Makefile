# What a user types. `make` alone lists it. Nothing here needs root; everything lives in this folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
START := $(shell date +%s)

# ---- what may be given on the command line: make table3 CORES=2 ARGS="--dry-run" ------------------------------------
CORES ?= all
ARGS ?=
VENV ?= .venv
ifneq ($(words $(VENV)),1)
$(error VENV is '$(VENV)'; give one folder whose name has no spaces)
endif
EXTRAS ?= crate,dev,s3,tensorflow,tracking,versioning
CONSTRAINTS ?= constraints.txt
TEST_JOBS ?= 2
# The first Python of 3.11 or newer; 3.11 first, because the pins were made with it.
ifeq ($(origin PYTHON),undefined)
PYTHON = $(shell for p in python3.11 python3 python3.12 python3.13; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
# Which build of torch: the one that VENV has (a cluster's login node has no GPU, but shares the folder); for a new
# one CUDA where an NVIDIA driver answers, otherwise the CPU build, a tenth of the download.
ifeq ($(origin TORCH),undefined)
TORCH := $(word 2,$(subst -, ,$(notdir $(firstword $(wildcard $(VENV)/.installed-*)))))
ifeq ($(TORCH),)
TORCH := $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
endif
endif
ifeq ($(filter cpu cuda,$(TORCH)),)
$(error TORCH is '$(TORCH)'; give TORCH=cpu or TORCH=cuda, or nothing to let nvidia-smi decide)
endif
# Where that build comes from; when it cannot be reached, or is empty, from wherever pip is configured to look.
# For another CUDA than PyTorch's default: make env TORCH=cuda TORCH_INDEX=https://download.pytorch.org/whl/cu126
TORCH_INDEX ?= $(if $(filter cpu,$(TORCH)),https://download.pytorch.org/whl/cpu)
# For messages: without user, password and query.
HIDE_SECRETS := sed -e 's|//[^/]*@|//|' -e 's|[?].*||'

# ---- the environment ------------------------------------------------------------------------------------------------
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
TORCH_VERSION := $(shell sed -n 's/^torch==//p' $(CONSTRAINTS))
TORCH_SPEC := torch$(addprefix ==,$(TORCH_VERSION))
comma := ,
# The stamps carry a checksum, not a date: a git checkout that touches pyproject.toml installs nothing again.
CHECKSUM := $(firstword $(shell cat pyproject.toml $(CONSTRAINTS) | cksum))
STAMP := $(VENV)/.installed-$(TORCH)-$(subst $(comma),-,$(EXTRAS))-$(CHECKSUM)
# The tables need no extras: less than half of the download, and a newcomer waits for what is used only.
TABLES_STAMP := $(or $(wildcard $(STAMP)),$(VENV)/.installed-$(TORCH)-tables-$(CHECKSUM))
$(TABLES_STAMP): REQUIREMENT = .
$(STAMP): REQUIREMENT = .[$(EXTRAS)]

export PATH := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(BIN):$(PATH)
export PYTHONNOUSERSITE := 1
# Packages of another Python (a cluster's module, say) must not shadow the pinned ones.
unexport PYTHONPATH

# Reads pip's report of what it would install: says where torch comes from and how large it is, before the download,
# and prints the options for the download: a wheel in a local folder is taken from there without asking any index.
define TORCH_SIZE
import json, os, re, sys, urllib.parse, urllib.request
report, build, index = sys.argv[1:]
item = json.load(open(report))["install"][0]
url = urllib.parse.urlsplit(item["download_info"]["url"])
cuda = any(re.match("nvidia|cuda", name) for name in item["metadata"].get("requires_dist", []))
try:
    if url.scheme == "file":
        size = os.path.getsize(urllib.request.url2pathname(url.path))
    else:
        request = urllib.request.Request(url.geturl(), method="HEAD")
        with urllib.request.urlopen(request, timeout=5) as answer:
            size = int(answer.headers["Content-Length"])
    text = f"{size / 1e6:.0f} MB"
except (OSError, TypeError, ValueError):
    text = "about 500 MB" if cuda else "about 200 MB"
text = urllib.parse.unquote(url.path.rsplit("/", 1)[-1]) + ", " + text
if cuda:
    text += "; it needs CUDA's packages too, about 3 GB in all"
    if build == "cpu":
        text += " (the CPU build cannot be reached from here)"
print("torch:", text, file=sys.stderr)
folder = url.geturl().rsplit("/", 1)[0]
print(f"--no-index --find-links={folder}" if url.scheme == "file" else index)
endef
export TORCH_SIZE

define TORCH_CURRENT
import sys, torch
version, wanted = torch.__version__.split("+")[0], sys.argv[1]
build = "cuda" if torch.version.cuda else "cpu"
sys.exit(not (version == (wanted or version) and build == sys.argv[2]))
endef
export TORCH_CURRENT

## help: this list
.PHONY: help
help:
	@echo "Usage: make TARGET [CORES=2] [ARGS=\"--dry-run\"] [TORCH=cpu|cuda] [PYTHON=python3.11] [VENV=.venv]"
	@sed -n 's/^## \([a-z0-9. -]*\): /\1|/p' Makefile | while IFS='|' read -r name text; do \
	    printf '  %-16s %s\n' "$$name" "$$text"; done

## env: .venv with every package at its pinned version (the other targets install what they need themselves)
.PHONY: env
env: $(STAMP)

$(sort $(STAMP) $(TABLES_STAMP)): | pyproject.toml $(CONSTRAINTS)
	@if ! $(PIP) --version >/dev/null 2>&1; then \
	    if [ -z "$(PYTHON)" ]; then \
	        echo "error: found no Python 3.11 or newer (tried python3.11, python3, python3.12, python3.13);" \
	            "install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	    found=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=; \
	    case "$$found" in \
	        3.1[1-9]|3.[2-9][0-9]) ;; \
	        "") echo "error: '$(PYTHON)' does not run; name a Python 3.11 or newer:" \
	            "make PYTHON=/path/to/python3.11" >&2; exit 2 ;; \
	        *) echo "error: '$(PYTHON)' is Python $$found, needed is 3.11 or newer; name one:" \
	            "make PYTHON=/path/to/python3.11" >&2; exit 2 ;; \
	    esac; \
	    mkdir -p "$(VENV)" && [ -w "$(VENV)" ] || { \
	        echo "error: $(VENV) cannot be made (the reason is above, or it is not yours to write to);" \
	            "take a copy of the project that you may write to, or name another folder: make VENV=/path" >&2; \
	        exit 2; }; \
	    echo "Creating $(VENV) with Python $$found"; \
	    "$(PYTHON)" -m venv "$(VENV)" || { \
	        echo "error: '$(PYTHON)' cannot create $(VENV) (its own words are above). On Debian and Ubuntu the" \
	            "package python$$found-venv is missing; a Python from pyenv, conda or python.org has it built in" >&2; \
	        exit 2; }; \
	fi
	@$(PIP) install --quiet --upgrade 'pip>=24.1' || echo "pip stays as it is: no newer one can be reached"
	@if ! $(PY) -c "$$TORCH_CURRENT" "$(TORCH_VERSION)" $(TORCH) 2>/dev/null; then \
	    report=$(VENV)/torch.json; \
	    for index in $(if $(TORCH_INDEX),"--index-url=$(TORCH_INDEX)") ""; do \
	        rm -f $$report; \
	        $(PIP) --timeout 8 --retries 0 install --dry-run --quiet --no-deps --ignore-installed \
	            --report $$report $$index $(TORCH_SPEC) 2>/dev/null || continue; \
	        options=$$($(PY) -c "$$TORCH_SIZE" $$report $(TORCH) "$$index") || continue; \
	        $(PIP) install --no-compile --no-deps --force-reinstall $$options $(TORCH_SPEC) || continue; \
	        installed=yes; break; \
	    done; \
	    rm -f $$report; \
	    [ "$${installed:-}" ] || { echo "error: $(TORCH_SPEC) could not be downloaded from" \
	        "$$(printf %s "$(or $(TORCH_INDEX),PyTorch)" | $(HIDE_SECRETS)) nor from where pip is configured to look; check the network," \
	        "or name another place: make env TORCH_INDEX=URL" >&2; exit 2; }; \
	fi
	@echo "The other packages: about $(if $(findstring [,$(REQUIREMENT)),600,150) MB to download, less what pip has in its cache"
	@$(PIP) install --no-compile -c $(CONSTRAINTS) -e "$(REQUIREMENT)"
	@# pip would compile on one core; some packages carry files for other Pythons, which do not compile.
	@$(PY) -m compileall -q -j 0 "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null || true
	@rm -f $(VENV)/.installed-* && touch $@
	@echo "$(VENV) is ready, $$(( $$(date +%s) - $(START) )) seconds after make was started"

## constraints: write what is installed to constraints.txt (see its head)
.PHONY: constraints
constraints: env
	@{ sed -n '/^#/p' constraints.txt; \
	   $(PIP) freeze --all --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' \
	       | grep -v -i -E '^(pip==|nvidia|cuda|triton)' | sed 's/+[A-Za-z0-9.]*$$//' | LC_ALL=C sort -f; \
	 } > constraints.txt.tmp
	@mv constraints.txt.tmp constraints.txt

# ---- the tables -----------------------------------------------------------------------------------------------------
# What an interrupted run left half-written is made again. After each such span Snakemake weighs all waiting jobs again,
# once more for every job that has ended: with its own 1 s that took 12 % of a core in a run of 199 jobs.
# A job that fails shows its own words, which are in its log.
# glibc keeps the memory that networks free and take again at every layer, in huge pages where Linux lets it: without this
# the kernel's clearing of pages takes 7 to 9 % of sampling's CPU time. No number changes.
MALLOC := GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=536870912:$\
glibc.malloc.mmap_threshold=33554432:glibc.malloc.top_pad=67108864
SNAKEMAKE := $(MALLOC) $(BIN)/snakemake --cores $(CORES) --rerun-incomplete --show-failed-logs --max-jobs-per-timespan 500/5s

## reproduce: all six tables at the embedded scale, and where the report is, wall time and CPU time
.PHONY: reproduce
reproduce: $(TABLES_STAMP)
	$(SNAKEMAKE) $(ARGS) -- reproduce_all
	@$(PY) -m workflow summary
	@echo "wall time of this make: $$(( $$(date +%s) - $(START) )) s"

## decide: the models of reproduce with six training seeds and 1,000 samples, for claims that it leaves open; hours
.PHONY: decide
decide: $(TABLES_STAMP)
	@if [ -d results/digits/retrain/models ] && [ ! -e results/decide ]; then \
	    echo "Models, images and feature network of results/digits are taken over"; \
	    rm -rf results/.decide && mkdir -p results/.decide/retrain && \
	    cp -R -p results/digits/data results/digits/network results/.decide/ && \
	    cp -R -p results/digits/retrain/models results/.decide/retrain/ && mv results/.decide results/decide; \
	fi
	$(SNAKEMAKE) $(ARGS) --config scale=decide -- reproduce_all
	@$(PY) -m workflow summary --scale decide
	@echo "wall time of this make: $$(( $$(date +%s) - $(START) )) s"

## table1 .. table6: one table (numbers of the NeurIPS 2021 version)
TABLES := table1 table2 table3 table4 table5 table6
.PHONY: $(TABLES)
$(TABLES): $(TABLES_STAMP)
	$(SNAKEMAKE) $(ARGS) -- reproduce_$@

## figures: the paper's figures from the same runs; 8.7 more minutes of CPU time after reproduce
.PHONY: figures
figures: $(TABLES_STAMP)
	$(SNAKEMAKE) $(ARGS) -- reproduce_figures
	@echo "figures: results/digits/report/figures.html"

# The report that these take: make site REPORT=results/decide/report
REPORT ?= results/digits/report
## site: the report with all that it links to, in a folder that a web server or GitHub Pages can show: site/
.PHONY: site
site: env
	@$(PY) -m reports site $(REPORT) --out site

## pdf: all tables of the report in one PDF beside its pages, tables.pdf; needs Chromium
.PHONY: pdf
pdf: env
	@$(PY) -m reports pdf $(REPORT) --out $(REPORT)/tables.pdf

## reviewer: the checklists of reviewers, answered from the manifests: seeds, compute, terms, commands; beside the report
.PHONY: reviewer
reviewer: env
	@$(PY) -m reports reviewer $(REPORT) --out $(REPORT)/reviewer.html

## crate: pages, numbers and their provenance as a Workflow Run RO-Crate, crate/; with the images: ARGS=--everything
.PHONY: crate
crate: env
	@$(PY) -m reports crate $(REPORT) --out crate $(ARGS)

## screenshots: the pictures of the README, in light and dark; needs Chromium
.PHONY: screenshots
screenshots: env
	@$(PY) -m reports screenshots $(REPORT) --out docs/images

## ui: what the jobs recorded (settings, losses, metrics), on MLflow's own page; another port: ARGS="--port 5001"
.PHONY: ui
ui: env
	@$(PY) -m records ui $(ARGS)

## bench: speed of training and sampling on this machine
.PHONY: bench
bench: $(TABLES_STAMP)
	$(PY) -m bench.speed $(ARGS)

## bench-eval: speed and memory of the evaluator, as in docs/evaluation.md; grading alone takes half an hour
.PHONY: bench-eval
bench-eval: env
	$(PY) -m bench.images
	$(PY) -m bench.features
	$(PY) -m bench.frechet_distance
	$(PY) -m bench.precision_recall
	$(PY) -m bench.intervals
	$(PY) -m bench.grading

# ---- the code -------------------------------------------------------------------------------------------------------
# One thread per test process: two processes with two threads each on two cores are slower and far less steady.
# Tests of a file stay together: they share what is slow to make.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_JOBS) --dist loadfile

## test: the fast tests
.PHONY: test
test: env
	$(PYTEST) $(ARGS)

## test-all: the fast and the slow tests, with the times of the longest
.PHONY: test-all
test-all: env
	$(PYTEST) -m "not gpu" --durations=25 $(ARGS)

## check: what is done without running the code: ruff, pyright, snakefmt, snakemake --lint, spelling
.PHONY: check
check: env
	$(BIN)/pre-commit run --all-files

## format: lay out Python and Snakemake code
.PHONY: format
format: env
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow/rules

## clean: remove caches and logs; results and what Snakemake knows of them stay
.PHONY: clean
clean:
	rm -rf .pytest_cache .ruff_cache build dist logs .snakemake/log
	find adm adm_eval eval records reports specs workflow bench examples tests -name __pycache__ -prune -exec rm -rf {} +

## clean-results: remove all results, models included; asks for YES=1
.PHONY: clean-results
clean-results:
	@[ "$(YES)" = 1 ] || { echo "error: this removes $$(du -sh results 2>/dev/null | cut -f1) of results, trained" \
	    "models included; if that is meant: make clean-results YES=1" >&2; exit 2; }
	rm -rf results .snakemake/metadata .snakemake/incomplete
