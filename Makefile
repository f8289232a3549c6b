# make test    every test, race detector on; lists what was skipped and why
# make lint    gofmt, vet, staticcheck
# make build   bin/iod and bin/weather
# make device  bin/iod-device for a gateway: stripped, without index, development chain and demo
# make cross   every platform that devices have
# make packages   Debian packages, tarballs, bills of materials and checksums below dist/ (VERSION=1.2.3)
# make bench   the figures of BENCHMARKS.md that are Go benchmarks
# make fuzz    every fuzz target, FUZZTIME each
GO          ?= go
GOTESTSUM    = $(GO) run gotest.tools/gotestsum@v1.13.0
STATICCHECK  = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
PLATFORMS    = linux/arm linux/arm64 linux/mips linux/mipsle linux/riscv64 linux/amd64 darwin/arm64 darwin/amd64
# The race detector needs a C compiler.
RACE        := $(shell command -v gcc >/dev/null 2>&1 && echo -race)

# A process with the race detector sleeps for a second at its end otherwise; tests start hundreds.
export GORACE ?= atexit_sleep_ms=0

.PHONY: test lint build device cross packages bench fuzz deps

deps:
	@./.ci/deps

test: deps
	@if [ -z "$(RACE)" ]; then echo "NO C COMPILER: the race detector is off"; fi
	$(GOTESTSUM) --format pkgname --format-hide-empty-pkg -- $(RACE) -timeout 15m ./...

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags device ./cmd/iod
	$(STATICCHECK) ./...

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/iod ./examples/weather

device:
	CGO_ENABLED=0 $(GO) build -trimpath -tags device -ldflags '-s -w' -o bin/iod-device ./cmd/iod
	@ls -l bin/iod-device

cross:
	@for p in $(PLATFORMS); do \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -tags device -ldflags '-s -w' -o bin/iod-$${p%/*}-$${p#*/} ./cmd/iod && echo "built $$p" || exit 1; \
	done
	@ls -l bin/iod-*

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0)

packages:
	packaging/build $(VERSION) dist

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; \
		done; \
	done
