# From a fresh clone: `make train` trains and registers the models, `make test` runs the whole suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: train test test-slow test-browser test-postgres test-ray dashboard lint clean

train: $(READY)
	$(BIN)/rasd train

test: $(READY)
	$(BIN)/python -m pytest

# Proofs that take minutes: twenty kills of a training, trainings at once, torchrun.
test-slow: $(READY)
	$(BIN)/python -m pytest -m slow -rs

# Needs Chromium: apt-get install chromium chromium-driver. RASD_SCREENSHOTS=FOLDER keeps the screenshots there.
test-browser: $(READY)
	$(BIN)/python -m pytest -m browser -rs

# Needs PostgreSQL: apt-get install postgresql.
test-postgres: $(READY)
	$(BIN)/python -m pytest -m postgres -rs

# Installs the extra `ray` first; the suite itself runs without it.
test-ray: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ray]'
	$(BIN)/python -m pytest -m ray -rs

dashboard: $(READY)
	$(BIN)/rasd dashboard

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The mark is made last: an installation that was cut off is done again.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rasd needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info
