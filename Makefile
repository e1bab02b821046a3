# The only list of commands. Each installs what it needs (Debian 12: with root or sudo) and says
# what it does; see tests/setup. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

STAGE := tests/setup/stage.sh
SETUP := $(STAGE) "set up" tests/setup/install.sh
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

# Seconds that `make fuzz` gives to each target, and which targets (default: all).
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

export CARGO_TERM_COLOR ?= auto

.PHONY: help demo test test-all check fuzz bench fmt clean arm64 wasm

help: ## this list
	@echo "Sluicegate, make targets:"
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## devices, a lost network, a killed gateway, bundles verified; cars that charge and cheat
	@$(SETUP) demo
	@$(STAGE) "build" cargo build --workspace --bins --locked
	@$(STAGE) "demo" $(TARGET_DIR)/debug/demo

test: ## all tests of this machine's architecture
	@$(SETUP) test
	@$(STAGE) "build" cargo build --workspace --all-targets --locked
	@$(STAGE) "tests" cargo test --workspace --locked --no-fail-fast

test-all: check test wasm arm64 ## check, test, and what is slower or foreign

# Advisories need the network and a database that changes daily: `cargo deny check advisories`.
check: ## format, clippy, docs, licences and bans, architecture
	@$(SETUP) check
	@$(STAGE) "format" cargo fmt --all --check
	@$(STAGE) "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(STAGE) "docs" cargo doc --workspace --no-deps --locked
	@$(STAGE) "deny" cargo deny --locked check --hide-inclusion-graph bans licenses sources
	@$(STAGE) "architecture" cargo test --workspace --locked --test architecture

wasm: ## rebuild the verifier for browsers and compare it with the committed one
	@$(SETUP) build
	@$(STAGE) "verifier for browsers" tests/setup/wasm.sh

arm64: ## build for arm64
	@$(SETUP) arm64
	@STAGE_TARGET=aarch64-unknown-linux-gnu \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	$(STAGE) "build for arm64" \
	    cargo build --workspace --bins --locked --target aarch64-unknown-linux-gnu

fuzz: ## each fuzz target for FUZZ_SECONDS (60) seconds
	@$(SETUP) fuzz
	@$(STAGE) "fuzz" tests/setup/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: ## the benchmarks, in release mode
	@$(SETUP) build
	@$(STAGE) "bench" cargo run --release --locked --package sluicegate-tests --bin bench

fmt: ## format all code
	@$(SETUP) check
	@cargo fmt --all

clean: ## remove all build results
	@rm -rf target
