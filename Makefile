# make test   all tests, race detector on      make lint   vet, staticcheck, gofmt
# make build  bin/iod and bin/weather          make device the stripped device binary
# make cross  every platform that devices have make bench  the figures of BENCHMARKS.md
# make fuzz   every fuzz target for FUZZTIME each
GO ?= go
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 20s
export CGO_ENABLED ?= 1

.PHONY: test lint build device cross bench fuzz tools
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/iod ./examples/weather

test:
	$(GO) test -race -timeout 20m ./...

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
