# The ways to work on routed. Each makes .venv first, with what it lacks, and is quick the second time.

.PHONY: demo test check format clean deb test-package test-vm
.DEFAULT_GOAL := check

# ip stands in /usr/sbin, which an ordinary user's PATH does not always hold.
export PATH := $(PATH):/usr/sbin:/sbin

BIN := .venv/bin
READY := .venv/.ready
# Two at a time; what must not run beside its like shares a mark, xdist_group.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup

# Tests that speak to a kernel get network namespaces of their own; this one keeps even a wrong test off the host.
# Without root it takes a user namespace, in which the tests are root.
ALONE := unshare --net --mount $(if $(filter 0,$(shell id -u)),,--map-root-user)

# Show what routed does, in a throw-away network namespace.
DEMO := build/demo/.ready
demo: $(DEMO)
	build/demo/bin/routed demo

# What speaks to a kernel and needs no virtual machine. All that needs neither is in check. TESTS=tests/kernel is a part of it.
TESTS ?= tests/kernel tests/members tests/probes tests/system
test: $(READY)
	@contrib/can-test $(ALONE)
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) --durations=25 -m "not long" $(TESTS)'

# All of it in bare roots of Debian 12 and 13, as root: half an hour each. ROOTS="sid" takes another one, and
# ROOT_GOALS="check test" asks for more; AGAIN=--again keeps what the last run left there.
ROOTS ?= bookworm trixie
ROOT_GOALS ?= test
.PHONY: test-roots
test-roots: $(READY) $(BUILDER)
	set -e; for root in $(ROOTS); do $(BIN)/python -m tests.roots $(AGAIN) $$root $(ROOT_GOALS); done

# Unit and property tests with each Python that is here, in an environment of its own; says which it did not find.
# TESTS=tests/kernel asks for others, which then run in namespaces.
.PHONY: test-pythons
test-pythons:
	ALONE="$(ALONE)" contrib/test-pythons $(if $(filter command% environment%,$(origin TESTS)),$(TESTS),tests/unit tests/property)

# Calls of libc fail in everything that the daemon does; how, says docs/explanation/architecture.md.
.PHONY: test-faults test-long
test-faults: $(READY)
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) tests/faults'

# What takes too long for each change: many of these calls fail (with POSITIONS=all each of them, which takes hours), hosts
# that never come to rest, and examples that no run before had.
POSITIONS ?= many
test-long: $(READY)
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) tests/faults --positions $(POSITIONS)'
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) tests/long'
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) -m long tests/kernel tests/members tests/probes tests/system'
	$(PYTEST) --hypothesis-profile searching tests/unit tests/property

# Format, lint, types, import rules, unit and property tests: all that needs neither root nor a kernel of its own.
CHECKS := check-format check-lint check-types check-imports check-tests
.PHONY: $(CHECKS)
check: $(CHECKS)
$(CHECKS): $(READY)

check-format:
	$(BIN)/ruff format --check
check-lint:
	$(BIN)/ruff check
check-types:
	$(BIN)/mypy
check-imports:
	$(BIN)/lint-imports --no-logo
check-tests:
	$(PYTEST) tests/unit tests/property

# The Debian package of the release that this is, as dist/routed_VERSION_ARCHITECTURE.deb. The stamp holds its name.
BUILDER := build/.builder-ready
DEB := build/.deb-ready
deb: $(DEB)

$(DEB): $(BUILDER) constraints.txt pyproject.toml $(shell find contrib docs examples routed -type f -not -path '*/__pycache__/*')
	contrib/build-deb >$@.new
	@mv $@.new $@; cat $@

$(BUILDER): contrib/bootstrap
	contrib/bootstrap package
	@mkdir -p build
	@touch $@

# The package for Fedora and RHEL, as far as this system can build it; what was tried says contrib/rpm/routed.spec.
.PHONY: rpm
rpm:
	contrib/build-rpm

# Judges the package: its files, its pages, its unit, its behaviour in a small Debian.
test-package: $(READY) $(DEB)
	$(BIN)/python -m tests.package.small $$(cat $(DEB))
	$(ALONE) sh -c 'ip link set lo up && exec $(PYTEST) tests/package'

# The package on a booted Debian, in QEMU without KVM; and the tests of the kernel floor on Debian's kernel. Each of the
# two that run the tests has a machine of its own, and the longest file goes first. Where there can be none the tests are skipped, and say so aloud.
EMULATOR := build/.emulator-ready
IN_TURN := -n 2 --dist loadfile --no-loadscope-reorder
test-vm: $(READY) $(DEB) $(EMULATOR)
	ROUTED_PACKAGE=$(CURDIR)/$$(cat $(DEB)) $(BIN)/python -m pytest $(IN_TURN) --durations=10 -m "not long" tests/vm/test_kernel.py tests/vm

# What takes too long for that.
.PHONY: test-vm-long
test-vm-long: $(READY) $(DEB) $(EMULATOR)
	ROUTED_PACKAGE=$(CURDIR)/$$(cat $(DEB)) $(BIN)/python -m pytest $(IN_TURN) --durations=10 -m long tests/vm

$(EMULATOR): contrib/bootstrap
	@mkdir -p build
	contrib/bootstrap vm && touch $@ || echo "QEMU or mmdebstrap cannot be had here." >&2

# The pages as a site that works without a network; fails where a link leads nowhere.
.PHONY: site
site:
	contrib/make-site

# The bill of materials of what the package brings, as CycloneDX.
.PHONY: sbom
sbom: $(READY)
	@mkdir -p dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python contrib/make_sbom.py >dist/routed.cdx.json

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Measure routed beside its peers; options in ARGS, such as ARGS=--quick or ARGS="--rows b,f --contenders routed,keepalived".
# A pid namespace besides: whatever happens, its end takes every process of the benchmark with it, and so their networks.
BENCH := $(ALONE) --pid --fork --kill-child --mount-proc
.PHONY: bench bench-gate bench-report
bench: .bench/.ready .bench/limit
	$(BENCH) sh -c 'ip link set lo up && $(BIN)/python -m tests.bench $(ARGS)'

# Services of IPVS beside keepalived, in the virtual machine; ARGS="--sizes 10,1000 --idle 30 --times 3" for a first look.
.PHONY: bench-ipvs
bench-ipvs: .bench/.ready $(DEB) $(EMULATOR)
	ROUTED_PACKAGE=$(CURDIR)/$$(cat $(DEB)) $(BIN)/python -m tests.bench.ipvs $(ARGS)

# Ratios only, in less than a minute: has routed become slower by a factor of two?
bench-gate: $(READY) .bench/limit
	$(BENCH) sh -c 'ip link set lo up && $(BIN)/python -m tests.bench.gate $(ARGS)'

# Write docs/explanation/performance.md and its charts from the figures of the last run that was kept.
bench-report: $(READY)
	$(BIN)/python -m tests.bench.report

.bench/limit: tests/bench/limit.c $(READY)
	@mkdir -p .bench
	gcc -O2 -Wall -Wextra -Werror -o $@ $<

.bench/.ready: contrib/bootstrap-bench constraints.txt $(READY)
	contrib/bootstrap-bench
	@touch $@

clean:
	rm -rf .venv .bench build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is the last thing made: a bootstrap that was interrupted is done again.
$(DEMO): contrib/bootstrap constraints.txt pyproject.toml
	contrib/bootstrap demo
	@touch $@

$(READY): contrib/bootstrap constraints.txt pyproject.toml
	contrib/bootstrap
	@touch $@
