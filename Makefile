# Darkroom on Linux and macOS. On Windows: run.bat
#
#   make run     set up what is missing, then serve the page
#   make test    set up what is missing, then every check and every test that needs no graphics card
#   make clean   remove what the two above have made; pictures and models stay
#
# ARGS="…" hands arguments on to app.py or pytest. PYTHON=… names the Python to use.

VENV := .venv
IN_VENV := $(VENV)/bin/python
NAMES := python3.11 python3.12 python3.13 python3.14 python3 python
PIP := $(IN_VENV) -m pip --disable-pip-version-check --no-input

# A copy of the list that was installed last stays beside the packages: while it is the same, there is nothing to do.
install = @cmp -s $(1) $(VENV)/$(1) || { echo "Installing $(1)"; $(PIP) install -r $(1) && cp $(1) $(VENV)/$(1); }

# Each test file as a whole in one of them, in the order of their names. One that dies ends its part, and is not started
# anew. In a single process, as a debugger needs it: ARGS="-n 0"
TWO_PROCESSES := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help run test screenshot clean

help:
	@sed -n 's/^#   //p' Makefile

run: $(IN_VENV)
	$(call install,requirements.txt)
	@exec $(IN_VENV) app.py $(ARGS)

test: $(IN_VENV)
	$(call install,requirements.txt)
	$(call install,requirements-test.txt)
	@sh tests/browser_setup.sh $(IN_VENV)
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m mypy darkroom benchmarks tools app.py
	$(IN_VENV) -m pytest -m "not gpu" $(TWO_PROCESSES) $(ARGS)

screenshot: $(IN_VENV)
	$(call install,requirements.txt)
	$(call install,requirements-test.txt)
	$(IN_VENV) -m tools.screenshot docs/images/page.png
	$(IN_VENV) -m tools.screenshot docs/images/page.zh.png --language zh

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache test-artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name may exist and still not run, so each is asked for its version. Debian ships Python without venv's other half, ensurepip.
$(IN_VENV):
	@for name in $(PYTHON) $(NAMES); do \
		"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found="$$name" && break; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Darkroom needs Python 3.11 or newer, and none of these is: $(PYTHON) $(NAMES)."; \
		echo "Debian, Ubuntu: apt install python3 python3-venv. macOS: brew install python@3.11."; \
		exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$found has no venv. Debian, Ubuntu: apt install python3-venv."; \
		exit 1; \
	fi; \
	"$$found" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
