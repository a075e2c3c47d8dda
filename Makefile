# make demo    index and search ordinary photographs (PHOTOS=~/Pictures: your own), write demo.html
# make test    the default tests, training parts included
# make lint    style, types and the rooms' import contracts
# make audit   known holes in the packages that Sterna needs (asks PyPI)
# make bench   what is fast, measured
# make docs    the documentation, in site/

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0
WORKERS ?= 3
PHOTOS ?=
BENCHMARKS := throughput search scan evaluation extraction serve
PIP := -m pip install -q --disable-pip-version-check
LIGHT := .venv
DEV := .venv-dev

.PHONY: demo test test-long test-browser lint audit bench docs clean

demo: $(LIGHT)/installed
	$(LIGHT)/bin/python examples/demo.py $(if $(PHOTOS),--photos "$(PHOTOS)")

test: $(DEV)/installed
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest -n $(WORKERS) --dist loadfile -q

test-long: $(DEV)/installed
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest -n 2 --dist loadfile -q -m long

test-browser: $(DEV)/installed
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest -n 2 --dist loadfile -q -m browser

lint: $(DEV)/installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports
	$(DEV)/bin/bandit --quiet --recursive --configfile pyproject.toml src

audit: $(DEV)/installed
	rm -f $(DEV)/audit.json
	$(DEV)/bin/pip-audit --skip-editable --progress-spinner off --format json --output $(DEV)/audit.json

bench: $(DEV)/installed
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(DEV)/bin/python benchmarks/$$name.py; done

docs: $(DEV)/installed
	$(DEV)/bin/python docs/generate_reference.py
	$(DEV)/bin/python docs/generate_settings.py
	NO_MKDOCS_2_WARNING=1 $(DEV)/bin/mkdocs build --strict --quiet

clean:
	rm -rf $(LIGHT) $(DEV) demo-library demo-library-own demo-photos demo.html site

# The light install: no torch. What it was made from is its prerequisite, so a change installs anew.
$(LIGHT)/installed: pyproject.toml
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python $(PIP) -e '.[demo]'
	touch $@

# Torch comes first and by itself: its CPU build, where there is one, is many times smaller.
$(DEV)/installed: pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) --upgrade 'pip>=25.1'
	$(DEV)/bin/python $(PIP) '$(TORCH)'
	$(DEV)/bin/python $(PIP) -e '.[train,hf,heic,parquet,demo,server,watch]' --group test --group lint --group docs
	touch $@
