# Sluice. `make up` builds and runs a broker, `make test` runs everything that CI runs.
.DEFAULT_GOAL := build
.PHONY: up deps build test test-swift test-clients test-systemd check fmt fuzz bench generate \
  install deb clean
MAKEFLAGS += --no-print-directory

# Crash dumps of the Swift runtime can take minutes; tests want the exit status at once.
export SWIFT_BACKTRACE = enable=no

release := swift build -c release --static-swift-stdlib
python := .deps/newest/bin/python
python_sources := $(wildcard Tests/ClientTests/*.py Tests/ClientTests/*/*.py \
  Tests/SystemdTests/*.py Tests/SystemdTests/*/*.py Benchmarks/*.py Fuzz/*.py tools/*.py)

# Where `make install` puts things; DESTDIR= is put before all of them.
PREFIX = /usr/local
BUILD = .build/release
SYSCONFDIR = /etc
libexecdir = $(PREFIX)/libexec/sluice
docdir = $(PREFIX)/share/doc/sluice
mandir = $(PREFIX)/share/man
unitdir = $(PREFIX)/lib/systemd/system
bashdir = $(PREFIX)/share/bash-completion/completions
zshdir = $(PREFIX)/share/zsh/site-functions
fishdir = $(PREFIX)/share/fish/vendor_completions.d
daemons = frontend logwriter fetcher coordinator codec cleaner
units = $(patsubst systemd/%,%,$(wildcard systemd/*.target systemd/*.slice systemd/*.socket \
  systemd/*.service systemd/sluice-.service.d/*))

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

test: deps test-swift test-clients test-systemd

test-swift:
	@echo 'test: building the unit and process tests'
	@swift build --build-tests
	@swift test --skip-build

# Real Kafka clients against the release binaries; TESTS="-k java" picks some.
test-clients: deps build
	@$(python) -m pytest Tests/ClientTests $(TESTS)

# The units under a real systemd, in private namespaces; skipped where that cannot be had.
test-systemd: deps build
	@$(python) -m pytest Tests/SystemdTests $(TESTS)

# The layers, the format and the scripts; nothing is built for release.
check: deps
	@swift build --explicit-target-dependency-import-check error
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests
	@$(python) -m pyflakes $(python_sources)
	@for script in .ci/run tools/*.sh packaging/*.sh Tests/SystemdTests/*/*.sh; do bash -n $$script || exit 1; done

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

# What `make build` made, with units, manual and completions. An existing configuration is left as it is.
install:
	@test -x $(BUILD)/sluice || { echo 'install: nothing is built yet: make build'; exit 1; }
	@install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(libexecdir) $(docdir) $(SYSCONFDIR)/sluice \
	  $(unitdir)/sluice-.service.d $(PREFIX)/lib/sysusers.d $(PREFIX)/lib/tmpfiles.d \
	  $(PREFIX)/lib/systemd/catalog $(bashdir) $(zshdir) $(fishdir))
	@install $(BUILD)/sluice $(DESTDIR)$(PREFIX)/bin
	@install $(addprefix $(BUILD)/sluice-,$(daemons)) $(DESTDIR)$(libexecdir)
	@for unit in $(units); do \
	  sed -e 's|@libexecdir@|$(libexecdir)|g; s|@sysconfdir@|$(SYSCONFDIR)|g' \
	    -e 's|@docdir@|$(docdir)|g' systemd/$$unit >$(DESTDIR)$(unitdir)/$$unit || exit 1; \
	done
	@install -m 644 systemd/sluice.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf
	@install -m 644 systemd/sluice.tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/sluice.conf
	@install -m 644 systemd/sluice.catalog $(DESTDIR)$(PREFIX)/lib/systemd/catalog
	@tools/manpages.py $(BUILD) $(DESTDIR)$(mandir) docdir=$(docdir) sysconfdir=$(SYSCONFDIR)
	@$(BUILD)/sluice --generate-completion-script bash >$(DESTDIR)$(bashdir)/sluice
	@$(BUILD)/sluice --generate-completion-script zsh >$(DESTDIR)$(zshdir)/_sluice
	@$(BUILD)/sluice --generate-completion-script fish >$(DESTDIR)$(fishdir)/sluice.fish
	@install -m 644 README.md CHANGELOG.md docs/*.md $(DESTDIR)$(docdir)
	@test -e $(DESTDIR)$(SYSCONFDIR)/sluice/server.properties || \
	  install -m 644 systemd/server.properties $(DESTDIR)$(SYSCONFDIR)/sluice

# .build/deb/sluice_*.deb, from what `make build` made. REVISION=2 is a higher version of the same.
REVISION = 1
deb:
	@packaging/deb.sh $(BUILD) $(REVISION)

# What was built; data and downloaded dependencies stay.
clean:
	@rm -rf .build .deps/programs
