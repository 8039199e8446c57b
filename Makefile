# make play    installs what is missing, builds, and plays at one address
# make test    installs what tests need and runs them
# make help    all targets
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO       ?= go
ARGS     ?=
RELEASE  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
IMAGE    ?= cloudretro:latest
FUZZTIME ?= 10s
SOAK     ?= 5m
SCALES   ?= 1 2 4
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cloudretro
LINT     := $(CACHE)/golangci-lint-v2.15.0/golangci-lint

.PHONY: help play build packages go-version test test-go test-web lint fuzz e2e cluster-test image \
	soak bench bench-coordinator bench-start bench-latency bench-loss bench-play bench-room bench-send bench-turn

help:
	@echo "make play            install what is missing, build, run all roles (ARGS='--set key=value')"
	@echo "make build           build bin/cloudretro"
	@echo "make test            all tests with the race detector, and the page's"
	@echo "make lint            golangci-lint, pinned; also builds without cgo"
	@echo "make fuzz            every fuzz target for FUZZTIME=$(FUZZTIME)"
	@echo "make e2e             the real binary in headless Chromium"
	@echo "make cluster-test    all of it in the Kubernetes of KUBECONFIG, with the image CLOUDRETRO_IMAGE=$(IMAGE)"
	@echo "make soak            the gate under load for SOAK=$(SOAK) while everything around it changes"
	@echo "make image           container image $(IMAGE)"
	@echo "make bench           Go benchmarks"
	@echo "make bench-coordinator  10,000 browsers, 1,000 workers, 200 starts a second, times SCALES='$(SCALES)'"
	@echo "make bench-start     1,000 starts at once at two coordinators over 200 places"
	@echo "make bench-latency   key press to picture, in Chromium"
	@echo "make bench-loss      freezes at 2 % loss, every pixel checked, in Chromium (ARGS='-time 5m')"
	@echo "make bench-play      rates of picture and sound, gaps after a crash, in Chromium (ARGS='-games DIR')"
	@echo "make bench-room      CPU and memory of rooms"
	@echo "make bench-send      CPU per packet beside pion and the floor, as root (ARGS=-quick)"
	@echo "make bench-turn      cost of relaying beside coturn and pion/turn, as root (ARGS=-quick)"

play: build
	@mkdir -p games saves
	@exec bin/cloudretro $(ARGS)

# Packages that are there are not asked for again, so this needs no network then.
packages: go-version
	@deploy/packages.sh build run

go-version:
	@command -v $(GO) >/dev/null || { \
		echo "Go is missing; get $$(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/"; exit 1; }
	@$(GO) list -m >/dev/null || { \
		echo "This is $$($(GO) env GOVERSION); get $$(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/"; exit 1; }

build: packages
	@[ -e bin/cloudretro ] || echo "Building bin/cloudretro; the first time takes a minute or two"
	@$(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=$(RELEASE)" -o bin/cloudretro ./cmd/cloudretro

test: test-go test-web

test-go: go-version
	@deploy/packages.sh build run test
	$(GO) test -race -shuffle=on -timeout 20m -v ./...
	$(GO) test -race -shuffle=on -tags portable ./turn/relay

test-web:
	@deploy/packages.sh test
	node --test $(wildcard web/test/*.test.js web/test/*.test.mjs)

$(LINT):
	@echo "Building golangci-lint once; this takes some minutes."
	@mkdir -p $(@D)
	GOBIN=$(@D) GOFLAGS= $(GO) install -trimpath -ldflags='-s -w' \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

lint: go-version $(LINT)
	@deploy/packages.sh build
	$(LINT) run
	CGO_ENABLED=0 $(GO) vet ./...

fuzz: go-version
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

e2e: packages
	@deploy/packages.sh e2e
	CLOUDRETRO_E2E=1 $(GO) test -count=1 -v ./cmd/e2e/...

image:
	docker build --build-arg RELEASE=$(RELEASE) -t $(IMAGE) .

bench: packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

# One coordinator on core 0, the load on the others. Needs ulimit -n of 14,000 for each scale.
bench-coordinator: build
	@set -e; others=$$(( $$(nproc) - 1 )); pin=; if [ $$others -gt 0 ] && command -v taskset >/dev/null; then pin="taskset -c 1-$$others"; fi; \
	for k in $(SCALES); do \
		$$pin bin/cloudretro loadgen --name "$${k}x" --spawn 1 --cpu 0 --workers $${k}000 --browsers $${k}0000 \
			--starts $$(( k * 4000 )) --rate $$(( k * 200 )) --ramp $$(( k * 10 ))s $(ARGS); \
	done

bench-start: build
	bin/cloudretro loadgen --spawn 2 --workers 3 --total 200 --starts 1000 --hold 12s $(ARGS)

bench-latency: packages
	@deploy/packages.sh e2e
	$(GO) run ./cmd/bench-latency

bench-loss: go-version
	@deploy/packages.sh e2e
	$(GO) run ./cmd/bench-loss $(ARGS)

bench-play: packages
	@deploy/packages.sh e2e
	$(GO) run ./cmd/bench-play $(ARGS)

bench-room: packages
	@deploy/packages.sh e2e
	$(GO) run ./cmd/bench-room

bench-send: go-version
	$(GO) run ./cmd/bench-send $(ARGS)

bench-turn: packages
	@deploy/packages.sh bench
	$(GO) run ./cmd/bench-turn $(ARGS)

# A gate under load while certificates, secrets and workers change; an hour is SOAK=1h.
soak: packages
	@deploy/packages.sh e2e bench
	CLOUDRETRO_E2E=1 CLOUDRETRO_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -v -run TestSoak ./cmd/e2e

# On the cluster of KUBECONFIG, in namespaces that are made for it: first what
# needs an API server alone, then Chromium. Its nodes must have IMAGE, or pull it.
# CLOUDRETRO_CLUSTER_API_ONLY=1 leaves out what needs nodes.
cluster-test: go-version
	@if [ -z "$$KUBECONFIG" ]; then \
		echo "cluster-test: SKIPPED: KUBECONFIG is empty; run: KUBECONFIG=file make cluster-test, with a cluster for tests"; exit 0; fi; \
	export CLOUDRETRO_CLUSTER=1 CLOUDRETRO_IMAGE=$${CLOUDRETRO_IMAGE:-$(IMAGE)}; red=; \
	packages=$$(grep -rl --include='*_test.go' coordinator/cluster/clustertest . | xargs -n 1 dirname | grep -v '^./cmd/e2e$$' | sort -u); \
	echo "with an API server:" $$packages; \
	$(GO) test -count=1 -race -p 1 -v $$packages || red=1; \
	if [ -n "$$CLOUDRETRO_CLUSTER_API_ONLY" ]; then echo "cluster-test: SKIPPED: what needs nodes; CLOUDRETRO_CLUSTER_API_ONLY is set"; \
	else deploy/packages.sh e2e && $(GO) test -count=1 -v -timeout 30m -run '^TestCluster' ./cmd/e2e || red=1; fi; \
	[ -z "$$red" ]
