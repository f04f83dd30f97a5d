# `make` alone lists what there is to do.

PYTHON ?= python3
export PYTHON
NUMBER ?= 911
# What a drill is to name; by the environment, so that the shell reads no meaning into it.
export TOPIC POLICY CITY SITE

.PHONY: help demo dial down check ask preview test soak storm load fuzz faults lint sbom build prerequisites

help:
	@echo "make demo             the whole system on this machine: dials 911 and 933, shows the alerts (KEEP=1 leaves it up)"
	@echo "make dial NUMBER=911  another call, while a demonstration is kept up"
	@echo "make down             ends a demonstration that was kept up"
	@echo "make preview          what every alert looks like, here and in preview.html (CALLS=folder, LANGUAGES=en,fr, TIME_ZONE=...)"
	@echo "make test             all tests, those on the deployed template included"
	@echo "make check            asks the renewer what is wrong and what to do (STACK_NAME=... asks a stack in AWS)"
	@echo "make ask ACTION=drill lets the renewer do what is asked and prints its report (reconcile, rotate, monitor; TOPIC=..., POLICY=..., CITY=..., SITE=... for drills; STACK_NAME=...)"
	@echo "make soak             a year of the renewer on a virtual clock, with faults (DAYS=365, SEED=... to repeat one)"
	@echo "make storm            10,000 calls on a virtual clock while everything fails at random (CALLS=..., SEED=..., SECOND_WAY=1)"
	@echo "make load             real calls among a flood of junk, on this machine: all must alert within 3 s (RATE=300 SECONDS=20)"
	@echo "make fuzz             inputs made to break the rules, a minute for each target (TARGET=..., SECONDS=...)"
	@echo "make faults           docs/faults.md from the fault matrix in tests/e2e/fault_rows.py"
	@echo "make lint             formatting, lints, documentation, template, licences, unused dependencies"
	@echo "make sbom             what the deployed functions are made of, as CycloneDX in sbom/ (ARCH=x86_64 for the other processor)"
	@echo "make build            both functions for this machine; ARCH=arm64 or ARCH=x86_64 for another"

prerequisites:
	@sh local/prerequisites.sh

demo: prerequisites
	@KEEP=$(KEEP) $(PYTHON) local/demo.py

dial:
	@$(PYTHON) local/dial.py $(NUMBER)

down:
	@$(PYTHON) local/stack.py down

build: prerequisites
	@ARCH=$(ARCH) $(PYTHON) local/stack.py build

check:
	@ACTION=check TOPIC= POLICY= CITY= SITE= LEAKED= $(PYTHON) local/report.py

ask:
	@ACTION="$(or $(ACTION),none)" $(PYTHON) local/report.py

preview: prerequisites
	@$(PYTHON) local/tools.py preview
	@.tools/preview/bin/python local/preview.py $(if $(CALLS),--calls "$(CALLS)") $(if $(LANGUAGES),--languages "$(LANGUAGES)") $(if $(TIME_ZONE),--time-zone "$(TIME_ZONE)")

soak:
	cargo run --locked -p end-to-end --bin soak -- --days $(or $(DAYS),365) $(if $(SEED),--seed $(SEED))

load: prerequisites
	@$(PYTHON) local/load.py "$(RATE)" "$(SECONDS)"

storm:
	cargo run --locked -p end-to-end --bin storm -- --calls $(or $(CALLS),10000) $(if $(SEED),--seed $(SEED)) $(if $(SECOND_WAY),--second-way)

fuzz: prerequisites
	@sh local/fuzz.sh "$(TARGET)" $(or $(SECONDS),60)

faults:
	@$(PYTHON) local/fault_document.py

lint: prerequisites
	@sh local/lint.sh

sbom: prerequisites
	@$(PYTHON) local/tools.py checks
	@.tools/checks/bin/python local/sbom.py $(if $(ARCH),--architecture "$(ARCH)")

test: prerequisites
	cargo test --workspace --locked
	@$(PYTHON) local/stack.py build-all
	@$(PYTHON) local/tools.py client emulator
	.tools/client/bin/python -m pytest --numprocesses 2 --dist loadfile tests/interop tests/e2e
