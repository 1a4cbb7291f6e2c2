# Every target sets up what it needs; `make demo` and `make test` work from a clean clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN_STAMP := $(VENV)/.installed-to-run
TO_TEST := all,test
ARGS ?=
JOBS ?= 4

.PHONY: help venv demo test test-oldest docs check real-daemons real-sinks system-packages bench bench-compare bench-brokers soak soak-reconnects soak-kills bench-feed bench-push bench-push-latency bench-ship soak-outage ship-kills fault-table clean

help:
	@echo "make demo             run the whole way on this machine, with a page to look at (ARGS='--help' for its options)"
	@echo "make test             all tests (ARGS='-k name' for some, JOBS=0 in one process)"
	@echo "make docs             the pages of docs/ with the reference of the library, as HTML"
	@echo "make check            format, lint, types and layers"
	@echo "make real-daemons     build the original nsqd, nsqlookupd, nsqadmin and tools into .cache/bin (needs Go)"
	@echo "make real-sinks       build VictoriaLogs and an S3 server into .cache/bin (needs Go)"
	@echo "make system-packages  install what the tests need from Debian: chromium, servers, Perl modules (needs root)"
	@echo "make test-oldest      unit, loop and property tests on Python 3.10, if there is one"
	@echo "make bench            benchmarks; make bench-compare: next to other clients on the same broker"
	@echo "make bench-brokers    our nsqd next to the original, under the same load"
	@echo "make bench-ship       nsqgw ship next to nsq_to_http and nsq_to_file"
	@echo "make bench-push       what a delivery to a browser costs, next to C, tornado and websockets (needs cc)"
	@echo "make bench-push-latency  how old messages are at 10,000 browsers, and next to stalled ones (needs cc)"
	@echo "make bench-feed       how soon a consumer with a topology feed is connected to a new nsqd"
	@echo "make soak             property tests with many more examples, twenty minutes of fuzzing, 10,000 silent connections, ship-kills, soak-reconnects, soak-kills and soak-outage"
	@echo "make soak-reconnects  10 million messages, a reconnect a second (ARGS='--count 500000' for fewer)"
	@echo "make soak-outage      a service that is down for an hour under load (ARGS='--seconds 60' for less)"
	@echo "make ship-kills       each sink of nsqgw ship, gateway and nsqd killed while 100,000 events flow (SHIP_EVENTS=10000 for fewer), the gateway a hundred times"
	@echo "make fault-table      the same faults to nsqgw ship, nsq_to_http and nsq_to_file: what each loses and doubles"
	@echo "make soak-kills       kill -9 under load a thousand times, losing nothing (KILL_ROUNDS=100 for fewer)"
	@echo "make clean            remove the virtual environment, caches and what was built"

venv: $(STAMP)

$(RUN_STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is missing or older than 3.10; give another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "make: no virtual environment could be made; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(call install,nsqgw,all)
	@touch $@

$(STAMP): $(RUN_STAMP)
	@$(call install,what tests and checks need,$(TO_TEST))
	@touch $@

install = echo "installing $(1) into $(VENV)"; \
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(2)]' || \
		{ echo "make: pip could not install the packages of setup.cfg; its words are above" >&2; exit 1; }

demo: $(RUN_STAMP)
	$(BIN)/nsqgw demo $(ARGS)

# Many tests wait more than they compute, so there are more processes than most machines have cores to spare.
# Without Go the tests against the original daemons are skipped, and say so; under CI every skip is a failure.
test: venv
	@tools/real_daemons.sh || { test -z "$(CI)" && echo "make: going on without the original daemons"; }
	@tools/real_sinks.sh || { test -z "$(CI)" && echo "make: going on without real log services"; }
	@tools/node_client.sh || { test -z "$(CI)" && echo "make: going on without the client for Node"; }
	$(BIN)/pytest -n $(JOBS) --dist=loadfile $(ARGS)

test-oldest:
	@tools/node_client.sh || { test -z "$(CI)" && echo "make: going on without Node"; }
	tools/test_oldest.sh $(ARGS)

docs: venv
	$(BIN)/python -m sphinx -q -W -b html docs .cache/docs
	@echo "the pages begin at .cache/docs/index.html"

check: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

real-daemons:
	tools/real_daemons.sh

real-sinks:
	tools/real_sinks.sh

system-packages:
	tools/system_packages.sh

bench: venv
	@tools/real_daemons.sh || echo "make: measuring on our own nsqd instead"
	$(BIN)/python -m pytest perf -o addopts=--import-mode=importlib $(ARGS)

bench-compare: venv
	@tools/real_daemons.sh || echo "make: measuring on our own nsqd instead"
	PYTHONPATH=tests $(BIN)/python -m perf.compare $(ARGS)

soak: venv
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest tests/properties --timeout 3600 $(ARGS)
	FUZZ_SECONDS=600 $(BIN)/pytest tests/fuzz $(ARGS)
	SILENT_CONNECTIONS=10000 $(BIN)/pytest tests/conformance/test_rude_clients.py $(ARGS)
	SILENT_CONNECTIONS=10000 $(BIN)/pytest tests/loop/push/test_push_bad_input.py -k say_nothing $(ARGS)
	PUSH_KILLS=50 $(BIN)/pytest tests/integration/push/test_push_killed_in_turn.py --timeout 3600 $(ARGS)
	$(MAKE) ship-kills soak-reconnects soak-kills soak-outage ARGS=

bench-brokers: venv
	@tools/real_daemons.sh
	PYTHONPATH=tests $(BIN)/python -m perf.brokers $(ARGS)

bench-ship: venv
	@tools/real_daemons.sh
	PYTHONPATH=tests $(BIN)/python -m perf.ship $(ARGS)

fault-table: venv
	@tools/real_daemons.sh
	PYTHONPATH=tests $(BIN)/python -m perf.faults $(ARGS)

soak-outage: venv
	@tools/real_daemons.sh || echo "make: soaking on our own nsqd instead"
	PYTHONPATH=tests $(BIN)/python -m perf.ship.outage $(ARGS)

bench-push-latency: venv
	@tools/real_daemons.sh || echo "make: measuring on our own nsqd instead"
	PYTHONPATH=tests $(BIN)/python -m perf.push.latency $(ARGS)

bench-feed: venv
	@tools/real_daemons.sh || echo "make: watching our own nsqlookupd instead"
	PYTHONPATH=tests $(BIN)/python -m perf.feed_latency $(ARGS)

bench-push: venv
	PYTHONPATH=tests $(BIN)/python -m perf.push $(ARGS)

soak-reconnects: venv
	@tools/real_daemons.sh || echo "make: soaking on our own nsqd instead"
	PYTHONPATH=tests $(BIN)/python -m perf.reconnects $(ARGS)

# Two at once are as many as two cores bear: each is a gateway, an nsqd, a service and a test.
ship-kills: venv
	@tools/real_daemons.sh
	@tools/real_sinks.sh || { test -z "$(CI)" && echo "make: going on without real log services"; }
	SHIP_EVENTS=$(or $(SHIP_EVENTS),100000) GATEWAY_KILLS=$(or $(GATEWAY_KILLS),100) \
		$(BIN)/pytest tests/integration/ship/test_ship_faults.py tests/integration/ship/test_killed_in_turn.py \
		-n 2 --dist=load --timeout 600 -rP --show-capture=stdout $(ARGS)

soak-kills: venv
	KILL_ROUNDS=$(or $(KILL_ROUNDS),1000) $(BIN)/pytest tests/integration/faults/test_kills.py -s $(ARGS)

clean:
	rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks \
		.import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
