# Sluice. `make up` builds and runs a broker, `make test` runs everything that CI runs.
.DEFAULT_GOAL := build
.PHONY: up deps build test test-swift test-clients check fmt fuzz bench generate clean
MAKEFLAGS += --no-print-directory

# Crash dumps of the Swift runtime can take minutes; tests want the exit status at once.
export SWIFT_BACKTRACE = enable=no

release := swift build -c release --static-swift-stdlib
python := .deps/newest/bin/python
python_sources := $(wildcard Tests/ClientTests/*.py Tests/ClientTests/*/*.py \
  Benchmarks/*.py Fuzz/*.py)

# A broker in the foreground, data under ./data; Ctrl-C stops it. More options: UP="--fetchers 2".
up:
	@tools/deps.sh build
	@$(MAKE) build
	@exec .build/release/sluice up --override log.dirs=$(CURDIR)/data \
	  --override listeners=PLAINTEXT://127.0.0.1:9092 $(UP)

# Everything that building and testing need, beyond a Swift toolchain.
deps:
	@tools/deps.sh

build:
	@echo 'build: release binaries (a few minutes the first time)'
	@$(release)

test: deps test-swift test-clients

test-swift:
	@echo 'test: building the unit and process tests'
	@swift build --build-tests
	@swift test --skip-build

# Real Kafka clients against the release binaries; TESTS="-k java" picks some.
test-clients: deps build
	@$(python) -m pytest Tests/ClientTests $(TESTS)

# The layers, the format and the scripts; nothing is built for release.
check: deps
	@swift build --explicit-target-dependency-import-check error
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests
	@$(python) -m pyflakes $(python_sources)
	@for script in .ci/run tools/*.sh; do bash -n $$script || exit 1; done

fmt:
	@swift format --in-place --recursive --parallel Package.swift Sources Tests

# Coverage-guided fuzzing of every decoder; MINUTES=10 for longer.
fuzz:
	@Fuzz/run.sh

bench: build
	@python3 Benchmarks/run.py

# The Swift types of the wire protocol, from the definitions in protocol/.
generate:
	@swift run WireGen

# What was built; data and downloaded dependencies stay.
clean:
	@rm -rf .build .deps/programs
