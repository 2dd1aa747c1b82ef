# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-package test-plugin lint plugin clean

demo: $(VENV)/.demo
	mkdir -p demo
	$(BIN)/lposs-geo map examples/lakeside.tif --classes "water,forest,crop field,road,building" \
		-o demo/lakeside.tif --vector demo/lakeside.gpkg --quicklook demo/lakeside.png \
		--report demo/lakeside.html --overwrite

test: $(VENV)/.test
	$(MAKE) --no-print-directory --jobs 2 test-package test-plugin  # at once: much of the plugin's time is waiting

test-package: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test-plugin: $(VENV)/.test
	$(BIN)/python qgis_plugin/run_tests.py

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

plugin:
	$(PYTHON) qgis_plugin/build.py

$(VENV)/.demo: EXTRAS := .
$(VENV)/.test: EXTRAS := .[test]
$(VENV)/.lint: EXTRAS := .[lint]
$(VENV)/.demo $(VENV)/.test $(VENV)/.lint: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '$(EXTRAS)'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
