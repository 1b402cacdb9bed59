# Everything that is done to this repository; `make` alone lists it. Go and make are
# all that has to be installed (and gcc for test-race): tools and control plane are
# built from source, in the versions that a go.sum pins.

# The same flags for every build, so that a package is compiled once for all of them.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath,$(GOFLAGS)) -trimpath)

TOOLS := bin/tools
CONTROLLER_GEN := $(TOOLS)/controller-gen
GOLANGCI_LINT := $(TOOLS)/golangci-lint
GOVULNCHECK := $(TOOLS)/govulncheck
CYCLONEDX := $(TOOLS)/cyclonedx-gomod

# A control plane built elsewhere is used instead, if it is named.
ifdef KUBEBUILDER_ASSETS
ASSETS := $(abspath $(KUBEBUILDER_ASSETS))
else
ASSETS := $(CURDIR)/bin/controlplane
endif

# For narrowing down: make test PKG=./controllers/payment TESTFLAGS='-run Crash -v'
PKG ?= ./...
TESTFLAGS ?=
BENCH ?= .
FUZZTIME ?= 30s
ARGS ?=
GO_TEST = KUBEBUILDER_ASSETS="$(ASSETS)" hack/tick.sh "compiling and testing $(PKG)" go test -timeout 20m $(TESTFLAGS)

# Where a mistake moves money.
COVERAGE_MIN := 85
COVERAGE_PKGS := controllers/payment controllers/refund providers/mtn providers/orange providers/wave

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it

.PHONY: demo
demo: controlplane bin-demo ## Watch payments end well and badly in a real API server, in a minute
	@$(DEMO) $(ARGS)

.PHONY: run
run: controlplane bin-demo ## Start API server, simulator and manager, and leave them running for your kubectl
	@$(DEMO) -run $(ARGS)

# Not by go run: that one does not pass on the signals that end a job in CI.
DEMO := KUBEBUILDER_ASSETS="$(ASSETS)" exec bin/demo

.PHONY: bin-demo
bin-demo:
	@hack/tick.sh "building the demo" go build -o bin/demo ./hack/demo

##@ Test

.PHONY: test
test: controlplane ## Run every test
	$(GO_TEST) $(PKG)

.PHONY: test-race
test-race: controlplane ## Run every test under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO_TEST) -race $(PKG)

.PHONY: browser
browser: controlplane bin-demo ## Play the payer with a real browser (Chromium, installed where it is missing)
	@KUBEBUILDER_ASSETS="$(ASSETS)" exec hack/browser/run.sh $(ARGS)

.PHONY: cover
cover: controlplane ## Fail where the code that moves money is tested too little
	$(GO_TEST) -coverprofile=coverage.out -coverpkg=./controllers/...,./providers/... $(addprefix ./,$(COVERAGE_PKGS))
	hack/coverage.sh coverage.out $(COVERAGE_MIN) $(addprefix mobilemoney.dev/operator/,$(COVERAGE_PKGS))

.PHONY: peers
peers: ## Prove the wires against clients by other people (needs node, npm and openssl)
	@hack/tick.sh "building the peers" go -C hack/peers build -o ../../bin/peers .
	@exec bin/peers

.PHONY: fuzz
fuzz: ## Fuzz what strangers send: every target, one after the other (FUZZTIME=30s)
	hack/fuzz.sh $(FUZZTIME) $(PKG)

# A program in bin/soak/, beside its report.
.PHONY: soak
soak: controlplane ## A bad night in five minutes: kills, split brains, lies, and the providers' books at the end
	@hack/tick.sh "building the manager" go build -ldflags '-s -w' -o bin/manager .
	@hack/tick.sh "building the soak" go build -o bin/soak/soak ./hack/soak
	@KUBEBUILDER_ASSETS="$(ASSETS)" exec bin/soak/soak $(ARGS)

# Programs in bin/bench/, beside the report.
.PHONY: bench
bench: controlplane bin-bench ## What a payment costs, against a bare client: 40 minutes of a quiet machine (ARGS='-only burst,paced')
	@KUBEBUILDER_ASSETS="$(ASSETS)" exec bin/bench/bench $(ARGS)

.PHONY: bench-short
bench-short: controlplane bin-bench ## Count the requests that a payment takes, against the checked-in figures (the form for CI)
	@KUBEBUILDER_ASSETS="$(ASSETS)" exec bin/bench/bench -only counts -scale 0.4 -counts hack/bench/counts.json $(ARGS)

.PHONY: bin-bench
bin-bench:
	@hack/tick.sh "building the manager" go build -ldflags '-s -w' -o bin/manager .
	@hack/tick.sh "building the bench" go build -o bin/bench/bench ./hack/bench

# For benchstat: make microbench TESTFLAGS=-count=10
.PHONY: microbench
microbench: ## Measure time and allocations of hot functions (BENCH=regexp for some)
	@hack/tick.sh "compiling and measuring" go test -timeout 30m -run '^$$' -bench '$(BENCH)' -benchmem $(TESTFLAGS) \
		$(if $(filter-out ./...,$(PKG)),$(PKG),$(addprefix ./,$(sort $(dir $(wildcard controllers/*/bench_test.go providers/*/bench_test.go)))))

# 49 000 pairs and all single faults are more than 100 000 runs.
.PHONY: torture
torture: ## Every fault at every point, pairs, and random lives: minutes (another: ARGS='-seed 5')
	@hack/tick.sh "building the torture" go build -o bin/torture/torture ./hack/torture
	@exec bin/torture/torture -seed 13 -pairs 49000 -lives 20000 -mutants -report bin/torture/report.json $(ARGS)

.PHONY: torture-slice
torture-slice: ## A part of that, chosen by a seed that is printed (the form for CI)
	@hack/tick.sh "building the torture" go build -o bin/torture/torture ./hack/torture
	@exec bin/torture/torture -singles 3000 -pairs 1000 -lives 1500 -mutants -report bin/torture/report.json $(ARGS)

##@ Change it

.PHONY: reviewable
reviewable: generate fmt tidy lint ## Run this before a review: generate, format, tidy, lint

.PHONY: check-diff
check-diff: generate fmt tidy ## Fail if that changed anything, or anything is not committed
	@changed=$$(git status --porcelain) || exit 1; \
	test -z "$$changed" || { \
		git --no-pager diff; echo "$$changed"; \
		echo "The tree is not clean: run 'make reviewable' and commit the result."; exit 1; }

# What is gone from the API must go from its generated files too.
.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate deep copies, apply configurations, CRDs and RBAC
	rm -rf api/applyconfiguration config/crd/bases/*.yaml
	$(CONTROLLER_GEN) paths=./api/v1alpha1 \
		object:headerFile=hack/boilerplate.go.txt \
		applyconfiguration:headerFile=hack/boilerplate.go.txt \
		crd output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) paths=./controllers/... rbac:roleName=manager-role output:rbac:dir=config/rbac

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the Go code
	$(GOLANGCI_LINT) fmt

.PHONY: vet
vet: ## Run go vet (lint does too)
	go vet ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check style, bug patterns and the arrows between packages
	$(GOLANGCI_LINT) config verify
	$(GOLANGCI_LINT) run

.PHONY: tidy
tidy: ## Tidy every go.mod
	go mod tidy
	go -C hack/controlplane mod tidy
	go -C hack/tools mod tidy
	go -C hack/release/tools mod tidy
	go -C hack/browser mod tidy
	go -C hack/peers mod tidy

##@ Build

.PHONY: build
build: ## Build bin/manager and bin/simulator
	go build -ldflags '-s -w' -o bin/manager .
	go build -ldflags '-s -w' -o bin/simulator ./providers/simulator/cmd/simulator

.PHONY: release
release: controlplane $(GOVULNCHECK) $(CYCLONEDX) ## Make a release of this commit in bin/release (docs/release.md)
	@KUBEBUILDER_ASSETS="$(ASSETS)" hack/tick.sh "making a release" hack/release/release.sh "$(CURDIR)/bin/release"

# Exit code 4 says that the database could not be reached: loud, and no failure here.
.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities in what is called
	@hack/release/vuln.sh "$(CURDIR)/$(GOVULNCHECK)" bin/vuln.txt . ./providers/simulator/cmd/simulator || test $$? -eq 4

.PHONY: controlplane
controlplane: ## Build etcd, etcdutl, kube-apiserver and kubectl into bin/controlplane, once
ifndef KUBEBUILDER_ASSETS
	@hack/controlplane/build.sh "$(ASSETS)"
endif
	@for program in etcd etcdutl kube-apiserver kubectl; do \
		test -x "$(ASSETS)/$$program" || { echo "$(ASSETS)/$$program is missing"; exit 1; }; \
	done

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin coverage.out

$(CONTROLLER_GEN): hack/tools/go.mod hack/tools/go.sum
	hack/tick.sh "building controller-gen" \
		go build -C hack/tools -o "$(CURDIR)/$@" sigs.k8s.io/controller-tools/cmd/controller-gen
	@touch $@

$(GOLANGCI_LINT): hack/tools/go.mod hack/tools/go.sum
	hack/tick.sh "building golangci-lint (minutes the first time, once)" \
		go build -C hack/tools -o "$(CURDIR)/$@" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(GOVULNCHECK) $(CYCLONEDX): hack/release/tools/go.mod hack/release/tools/go.sum
	hack/tick.sh "building $(@F)" \
		go build -C hack/release/tools -o "$(CURDIR)/$@" $(if $(filter %govulncheck,$@),golang.org/x/vuln/cmd/govulncheck,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)
	@touch $@
