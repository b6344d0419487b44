# Two commands matter: `make run` and `make test`. Both set up what they need in .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# One lock in sections: build tools first (near-api is a source distribution), default, dev, rank files.
section = awk '/^\# section:/{on=($$3=="$(1)")} on' requirements.lock

.PHONY: run test check coverage fuzz bench drill clients table recording format contracts clean lock

run: .venv/.default
	$(BIN)/near-agent run

test: check
	$(BIN)/python -m compileall -q agent contracts training tests
	$(BIN)/python -m pytest --check-catalogue-table README.md tests

# Which lines the tests reach. Counting them doubles the processor time, so `make test` does not.
coverage: .venv/.dev
	$(BIN)/python -m pytest --cov=contracts --cov=agent --cov=training --cov-report=term:skip-covered tests

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house.py

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The properties with examples that no run has had before; what fails here becomes an example of its test.
fuzz: .venv/.dev
	$(BIN)/python -m pytest --no-cov --hypothesis-profile=random -m hypothesis tests

bench: .venv/.dev
	$(BIN)/python -m tests.bench

# Transfers through a faulty network and kills of the daemon; about five minutes.
drill: .venv/.dev
	$(BIN)/python -m tests.drill

# Chat clients that others wrote, from PyPI and npm, each in the same cells; the matrix is in build/clients.md. Needs node and chromium.
clients: build/clients/.installed
	rm -rf build/clients/programs && cp -r tests/clients/programs build/clients/programs
	$(BIN)/python -m pytest -o python_files='check_*.py' --clients-table build/clients.md tests/clients

build/clients/.installed: .venv/.dev tests/clients/requirements.txt tests/clients/requirements-open-webui.txt tests/clients/package.json
	@node --version > /dev/null || { echo "make clients needs node 20 or newer, with npm"; exit 1; }
	@chromium --version > /dev/null || { echo "make clients needs chromium"; exit 1; }
	mkdir -p build/clients
	test -x build/clients/venv/bin/python || $(PYTHON) -m venv build/clients/venv
	build/clients/venv/bin/python -m pip --disable-pip-version-check --quiet install -r tests/clients/requirements.txt
	test -x build/clients/open-webui/bin/python || $(PYTHON) -m venv build/clients/open-webui
	build/clients/open-webui/bin/python -m pip --disable-pip-version-check --quiet install -r tests/clients/requirements-open-webui.txt
	cp tests/clients/package.json build/clients && npm install --prefix build/clients --no-audit --no-fund --no-package-lock
	touch $@

# The README's table of what is shown for each action, made from the tests that pass.
table: .venv/.dev
	$(BIN)/python -m pytest -m shows --catalogue-table README.md tests

# What a conversation on a terminal looks like: asciinema play docs/chat.cast
recording: .venv/.dev
	$(BIN)/python -m tests.recording docs/chat.cast

contracts: .venv/.dev
	$(BIN)/python -m contracts.localnet.sources.build

lock:
	$(PYTHON) scripts/lock.py

clean:
	rm -rf .venv .bench .near-agent build .pytest_cache .ruff_cache .hypothesis .coverage *.egg-info

.venv/.default: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(call section,build) > .venv/build.txt && $(PIP) install --require-hashes -r .venv/build.txt
	$(call section,default) > .venv/default.txt && $(PIP) install --require-hashes --no-build-isolation -r .venv/default.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(call section,ranks) > .venv/ranks.txt && $(BIN)/python scripts/rank_files.py .venv/ranks.txt
	$(BIN)/python -m compileall -q agent contracts training
	touch $@

.venv/.dev: .venv/.default
	$(call section,dev) > .venv/dev.txt && $(PIP) install --require-hashes --no-deps -r .venv/dev.txt
	touch $@
