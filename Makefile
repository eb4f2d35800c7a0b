# Task recipes; `make` alone lists them. All of them are plain cargo underneath.
.DEFAULT_GOAL := help

help: ## List the recipes
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

demo: ## Run the tutorial against a real server and leave it serving
	cargo run -p gavel-cli -- demo

test: ## All tests; needs nothing but the Rust toolchain
	cargo test --workspace

lint: ## Formatting and lints, as CI has them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo doc --workspace --no-deps --document-private-items

deny: ## Licences, sources and duplicate versions of the dependencies (needs cargo-deny)
	cargo deny check bans licenses sources

bench: ## Benchmarks: decisions, who asks, what telemetry costs a call
	cargo bench -p gavel-engine -p gavel-conformance
	cargo bench -p gavel-access --bench access
	cargo bench -p gavel-server --bench telemetry

e2e: ## Scenarios against a real control plane (needs Go): make e2e, or make e2e NAME=tutorial
	deploy/e2e/run $(NAME)

image: ## Container images without an engine, in target/image
	deploy/image/build && deploy/image/check

conformance: ## Run a folder of conformance cases: make conformance DIR=path
	cargo build -p gavel-cli
	cargo run -p gavel-conformance -- --dir $(DIR)

fuzz: ## Fuzz every target for a minute (needs cargo-fuzz and a nightly toolchain)
	cd server/fuzz && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done

ci: ## Everything CI runs
	bash .ci/run

.PHONY: help demo test lint deny bench e2e conformance fuzz image ci
