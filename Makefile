# The front door. `make` alone lists the targets; real logic lives in the programs they call.
SHELL := /bin/bash
CARGO ?= cargo
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help tools run release test lint fmt bench docs generate migrate-up migrate-down migrate-status clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: # What every other target needs; says how to get what is missing
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing; install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing; install it with: sudo apt-get install build-essential   (macOS: xcode-select --install)"; exit 1; }

run: tools ## Run the service with SQLite and everything else in memory or on disk: no server needed
	$(CARGO) run -p dogs -- serve $(ARGS)

release: tools ## Build target/release/dogs
	$(CARGO) build --release -p dogs

test: tools ## Run every test that needs no server
	$(CARGO) test --workspace

lint: tools ## Check formatting, lints and documentation as CI does
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

fmt: tools ## Format the code
	$(CARGO) fmt --all

bench: tools ## Run the benchmarks and print their ratios
	$(CARGO) bench --workspace

docs: tools ## Build the API documentation of the crates
	$(CARGO) doc --workspace --no-deps

generate: tools ## Write the generated files anew: api/, docs/configuration.md, protobuf code
	UPDATE=1 $(CARGO) test -q -p kennel-proto --test generated
	UPDATE=1 $(CARGO) test -q -p dogs --lib contracts

migrate-up: tools ## Bring the database to the newest schema
	$(CARGO) run -q -p dogs -- migrate up

migrate-down: tools ## Take the newest migration back
	$(CARGO) run -q -p dogs -- migrate down

migrate-status: tools ## Show which migrations are applied
	$(CARGO) run -q -p dogs -- migrate status

clean: ## Remove what was built and the local data
	$(CARGO) clean
	rm -rf data
