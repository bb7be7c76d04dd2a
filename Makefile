# make demo   what comes with lossylab beside JPEG and JPEG 2000, in about four minutes: demo/report.html
# make test   the tests
# make docs   the documentation, in site/
# make lint   style and types
# make check-results   that results/ follows from its rows
# make lock   requirements/: all packages and their hashes, for each Python; needs uv
# make setup  only .venv, with the packages of requirements/; make setup-gpu adds CUDA's libraries
# make wheel  the built wheel, tried in an environment and a folder of its own
# Each sets up .venv first, if it is not there.

VENV := .venv
READY := $(VENV)/ready

.PHONY: setup setup-gpu demo test test-long docs lint types check-results lock wheel clean

demo: $(READY)
	$(VENV)/bin/python -m lossylab demo --out=demo

setup: $(READY)

setup-gpu: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[gpu]'

test: $(READY)
	$(VENV)/bin/python -m pytest --numprocesses=auto --maxprocesses=2 --dist=loadfile --no-loadscope-reorder

test-long: $(READY)
	$(VENV)/bin/python -m pytest -m long

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet

lint: $(READY) types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# The folder is the package, whatever it is called: pyright finds it under its name by a link.
types: $(READY)
	@mkdir -p $(VENV)/types && ln -sfn "$(CURDIR)" $(VENV)/types/lossylab
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# Texts and tables byte for byte; figures too, if the same matplotlib drew them.
check-results: $(READY)
	@for stem in proxiqa wcdgan jpeg_encoder distortion_gan mmd_restoration; do \
	  $(VENV)/bin/python -m lossylab eval $$stem --claims=results/claims.md --check_only || exit 1; \
	done
	@for folder in golden emoji; do \
	  $(VENV)/bin/python -m lossylab eval mmd_restoration --results=results/mmd_restoration/$$folder --check_only || exit 1; \
	done

lock:
	for version in 3.10 3.11; do uv pip compile --quiet setup.cfg --extra dev --extra docs --python-version $$version \
	  --universal --generate-hashes --no-annotate --no-emit-index-url --upgrade \
	  --custom-compile-command "make lock" --output-file requirements/python$$version.txt || exit 1; done

wheel: $(READY)
	.ci/try_wheel $(VENV)/bin/python

# TensorFlow 2.14 ends at Python 3.11, the ffmpeg that measures begins at 3.10.
$(READY): setup.cfg pyproject.toml $(wildcard requirements/*.txt)
	@python=; for name in $(PYTHON) python3.11 python3.10 python3 python; do \
	  if $$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; \
	  then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "no Python 3.10 or 3.11 with the venv module found: install one, or make PYTHON=/path/to/it" >&2; \
	  exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$python --version), a few minutes"; \
	$$python -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/python$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) demo site
