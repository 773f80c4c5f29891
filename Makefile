# Everything is done by run.py; `make` only finds a Python to run it with.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
ARGS ?=

.PHONY: paper test check next clean

paper test check next:
	@$(if $(PYTHON),,echo "error: no Python >= 3.11 found; install one or say make $@ PYTHON=..." >&2; exit 2;) \
	$(PYTHON) run.py $@ $(ARGS)

clean:
	rm -rf .venv .venv.lock .venv-next .venv-next.lock build dist
