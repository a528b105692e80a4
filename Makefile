# make run    busyd with nothing configured: try it
# make test   everything, with the race detector, on throwaway servers; then make
#             simulate, many seeds of the simulation without it, and a small storm
# make storm  millions of attempts to book, while daemons and the database are killed
# make lint   gofumpt and golangci-lint, pinned
# make bench  the figures; make fuzz  the parsers; make vuln  known holes
#
# ARGS go to busyd dev:  make run ARGS="--listen 127.0.0.1:9000"
# RUN, PKG narrow tests: make test PKG=./queue/... RUN=Sweep

GOLANGCI_LINT = v2.15.0
GOFUMPT       = v0.12.0
GOVULNCHECK   = v1.1.4

PKG      ?= ./...
RUN      ?= .
FUZZTIME ?= 30s
SEEDS    ?= 10000
ATTEMPTS ?= 10000000
BIN      := $(CURDIR)/.cache/bin

# What .ci/install had to put into the cache is found there.
export PATH := $(PATH):$(CURDIR)/.cache/python/bin

.PHONY: run build test simulate storm lint bench fuzz vuln clean

run: build
	@.ci/install postgresql
	@exec bin/busyd dev $(ARGS)

build:
	@CGO_ENABLED=0 go build -trimpath -o bin/busyd ./cmd/busyd

test:
	@.ci/install compiler postgresql redis radicale xandikos chromium xmllint
	go test -race -timeout 20m -run '$(RUN)' $(PKG)
ifeq ($(RUN) $(PKG),. ./...)
	@$(MAKE) --no-print-directory simulate
	@$(MAKE) --no-print-directory storm ATTEMPTS=200000
endif

# The race detector, under which a few seeds have run, would make it take four
# times as long.
simulate:
	@.ci/install postgresql
	GOGC=400 go test -timeout 20m -parallel 4 -run '^TestSimulation$$' ./sync/pull -sim.seeds $(SEEDS)

storm:
	@.ci/install postgresql
	go test -timeout 6h -run '^TestStorm$$' -v ./booking -storm.attempts $(ATTEMPTS)

bench:
	@.ci/install postgresql redis radicale xandikos
	go test -run '^$$' -bench '$(RUN)' -benchmem -timeout 60m $(PKG)

lint: $(BIN)/golangci-lint-$(GOLANGCI_LINT) $(BIN)/gofumpt-$(GOFUMPT)
	@unformatted=$$($(BIN)/gofumpt-$(GOFUMPT) -l $$(go list -f '{{.Dir}}' ./...) </dev/null) || exit 1; \
		if [ -n "$$unformatted" ]; then echo "not formatted with gofumpt:"; echo "$$unformatted"; exit 1; fi
	$(BIN)/golangci-lint-$(GOLANGCI_LINT) run ./...

# Each fuzz target for a while; seeds of failures go to testdata and stay.
fuzz:
	@for package in $$(go list $(PKG)); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

vuln:
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) ./...

clean:
	rm -rf bin .cache

$(BIN)/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	@mv $(BIN)/golangci-lint $@

$(BIN)/gofumpt-$(GOFUMPT):
	GOBIN=$(BIN) go install mvdan.cc/gofumpt@$(GOFUMPT)
	@mv $(BIN)/gofumpt $@
