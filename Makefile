# A façade: every target is one line, the work is in deploy/ and .ci/.
.DEFAULT_GOAL := help
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
.PHONY: help demo check test setup lint fmt docs cluster bench bench-peers bench-stores bench-waits soak rollout abuse simulate conformance interop broadcast fuzz fuzz-rest model k8s-check ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Build and show the whole path in one process, with a fake GitHub
	@deploy/demo.sh

check: ## Format, clippy, unit tests, contract on memory and SQLite: before every commit
	@deploy/check.sh

test: ## Run all tests, on real NATS, Redis and HAProxy; CRATE=mcp for those of one crate
	@deploy/test.sh $(if $(CRATE),--crate $(CRATE))

setup: ## Install what building and testing need
	@deploy/setup.sh test

lint: ## Check format, clippy and shell scripts
	@deploy/lint.sh

fmt: ## Format the code
	@cargo fmt --all

docs: ## Generate docs/configuration.md, docs/metrics.md, docs/openapi*.json, docs/failure-modes.md and docs/events.md
	@deploy/docs.sh

cluster: ## Start the cluster of deploy/ on this machine, until Ctrl-C
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && exec $(RELEASE)/cluster

bench: ## Measure latency, CPU and memory; prints a table and writes JSON into results/
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && exec $(RELEASE)/bench

bench-peers: ## The same load on nginx with nchan and on rmcp's server, beside our edge and the floor
	@deploy/setup.sh bench-peers && cargo build --release --locked --workspace --bins && exec $(RELEASE)/bench --peers

bench-waits: ## 10,000 calls that wait for an event on one edge: memory of each, and the CPU of their answers
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && exec $(RELEASE)/bench --only waits

bench-stores: ## The event log on JetStream and SQLite beside the bare drivers, without the rest of Forgewire
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && PATH="$(CURDIR)/.setup/venv-nats/bin:$$PATH" exec $(RELEASE)/bench --only stores

soak: ## Hold 5,000 streams for 15 minutes under churn, kills and abuse; SOAK="--seconds 60 --streams 500"
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && exec $(RELEASE)/soak $(SOAK)

simulate: ## Run 100,000 seeded histories of the delivery path; SIMULATION_HISTORIES=n
	@deploy/simulate.sh

rollout: ## Restart ingests and edges under load behind HAProxy, nginx and Envoy; ROLLOUT="--rounds 2 --balancer haproxy"
	@deploy/setup.sh rollout && cargo build --release --locked --workspace --bins && exec $(RELEASE)/rollout $(ROLLOUT)

abuse: ## Attack every surface beside honest clients, a minute each; ABUSE="--seconds 10 --surface mcp --topology both"
	@deploy/setup.sh test && cargo build --release --locked --workspace --bins && exec $(RELEASE)/abuse $(ABUSE)

conformance: ## Run the official MCP conformance suite through the balancer
	@deploy/conformance.sh

interop: ## Use real clients in every revision that they speak, through the balancer
	@deploy/test.sh --workspace --test interop

broadcast: ## Broadcast to 10,000 sessions of which 100 are connected, on both topologies
	@deploy/test.sh --workspace --test scenarios a_broadcast_among_ten_thousand -- --ignored --nocapture

fuzz: ## Fuzz what reads strangers' bytes; FUZZ_SECONDS per target (60), FUZZ_TARGETS="sse cursor clients"
	@deploy/fuzz.sh

fuzz-rest: ## Compare answers of REST with its OpenAPI documents; REST_FUZZ_SECONDS per document and mode (120)
	@REST_FUZZ_SECONDS=$(or $(REST_FUZZ_SECONDS),120) deploy/test.sh --workspace --test scenarios -- described:: --nocapture

model: ## Try interleavings of publishers, ring and reactors; MODEL_SECONDS per test (3)
	@deploy/model.sh

k8s-check: ## Render the manifests, check them against Kubernetes' schemas and the code
	@deploy/test.sh --workspace --test kubernetes

ci: ## What CI runs
	@.ci/run
