# `make` alone lists the targets; the logic is in the programs that they call.
SHELL := /bin/bash
CARGO ?= cargo
ARGS ?=
# The service to run, build and migrate: one of services.toml.
SERVICE ?= dogs
# nats, kafka, rabbitmq, or memory for none.
BROKER ?= nats
COMPOSE ?= docker compose
# Empty for a Compose that does not know it (before 2.1).
WAIT ?= --wait

KENNEL := $(COMPOSE) -p kennel --env-file .env-docker -f docker/compose.yml
KENNEL_TEST := $(COMPOSE) -p kennel-test --env-file .env-docker -f docker/compose.test.yml
# The broker as a Cargo feature and as a Compose file; memory is neither.
BROKER_FEATURE := $(filter-out memory,$(BROKER))
# Built with the store of STORAGE; its DSN is read from the environment or .env.
MIGRATE = $(CARGO) run -q -p $(SERVICE) $(STORAGE:%=--features %) -- migrate
STACK = $(KENNEL) -f docker/compose.$(STORE).yml $(BROKER_FEATURE:%=-f docker/compose.%.yml)
# The GIF pipeline in containers, with volumes of its own.
GIFS_BROKER = $(if $(filter file,$(origin BROKER)),kafka,$(BROKER))
GIFS = SCRAPE=gifs S3_STORAGE_BUCKET=gifs $(COMPOSE) -p kennel-gifs --env-file .env-docker -f docker/compose.yml \
	$(patsubst %,-f docker/compose.%.yml,$(STORE) $(GIFS_BROKER) gifs gifs-$(STORE) gifs-$(GIFS_BROKER))
# The market analytics in containers, with volumes of their own.
MARKET_BROKER = $(GIFS_BROKER)
MARKET = SCRAPE=market $(COMPOSE) -p kennel-market --env-file .env-docker -f docker/compose.yml \
	$(patsubst %,-f docker/compose.%.yml,$(STORE) $(MARKET_BROKER) market market-$(STORE) market-$(MARKET_BROKER))
EVERYTHING := $(KENNEL) $(patsubst %,-f docker/compose.%.yml,postgres mysql clickhouse nats kafka rabbitmq) --profile app

IMAGE_REPOSITORY ?= kennel
IMAGE_TAG ?= dev
CHART ?= gifs
NAMESPACE ?= $(CHART)
# A file with values of the chart.
VALUES ?=
# Prints how to install a tool if it is missing.
installed = @command -v $(1) >/dev/null || { echo "$(1) is missing; install it with: cargo install --locked $(1)"; exit 1; }

# Every test, with results by the rows of the table.
MATRIX := $(CARGO) run -q -p kennel-matrix -- .ci/suites --workspace --all-features $(ARGS)

# The first installed browser, if npm is installed to control it.
CHROMIUM = $${TEST_CHROMIUM:-$$(command -v npm >/dev/null && { command -v chromium || command -v chromium-browser || command -v google-chrome; })}

SERVICES := $(shell sed -n 's/^\[\(.*\)\]$$/\1/p' services.toml)
ifeq ($(filter $(SERVICE),$(SERVICES)),)
$(error SERVICE=$(SERVICE) is not in services.toml, which has: $(SERVICES))
endif

.DEFAULT_GOAL := help
.PHONY: help tools run run-gifs run-market release test test-matrix test-services test-gallery test-chart screenshots test-quick test-load lint coverage audit images push deploy \
	features fmt bench bench-parts docs generate migrate-up migrate-down migrate-status clean engine up-pg up-mysql up-ch full-pg full-mysql full-ch \
	run-pg run-mysql run-ch up-gifs full-gifs down-gifs up-market full-market down-market down down-clean ps logs bucket-create

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: # What every other target needs; prints how to install missing tools
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing; install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing; install it with: sudo apt-get install build-essential   (macOS: xcode-select --install)"; exit 1; }

run: tools ## Run the service (SERVICE=dogs) with SQLite and everything else in memory or on disk: no server needed
	$(CARGO) run -p $(SERVICE) -- serve $(ARGS)

run-gifs: export CATALOGUE_GRPC_URL ?= http://localhost:$(or $(GIF_STORAGE_GRPC_PORT),50052)
run-gifs: export MEDIA_GRPC_URL ?= http://localhost:$(or $(GIF_FILES_GRPC_PORT),50053)
# The bundled animations are on this machine.
run-gifs: export GIF_DOWNLOAD_ALLOW_PRIVATE ?= true
run-gifs: tools ## Run the GIF pipeline, three services in one process, as `make run` does; its page is http://localhost:8081
	$(CARGO) run -p gif-pipeline -- serve $(ARGS)

run-market: export CANDLES_GRPC_URL ?= http://localhost:$(or $(MARKET_PREPROCESSOR_GRPC_PORT),50054)
run-market: export BINANCE_SYMBOLS ?= BTC-USD,ETH-USD
run-market: export COINBASE_SYMBOLS ?= BTC-USD,ETH-USD
run-market: export KRAKEN_SYMBOLS ?= BTC-USD,ETH-USD
# The exchanges are simulated, on this machine.
run-market: export BINANCE_STREAM_URL ?= ws://127.0.0.1:8095/binance/ws
run-market: export BINANCE_REST_URL ?= http://127.0.0.1:8095/binance
run-market: export COINBASE_STREAM_URL ?= ws://127.0.0.1:8095/coinbase/ws
run-market: export COINBASE_REST_URL ?= http://127.0.0.1:8095/coinbase
run-market: export KRAKEN_STREAM_URL ?= ws://127.0.0.1:8095/kraken/v2
run-market: export KRAKEN_REST_URL ?= http://127.0.0.1:8095/kraken
run-market: export BINANCE_ALLOW_PRIVATE ?= true
run-market: export COINBASE_ALLOW_PRIVATE ?= true
run-market: export KRAKEN_ALLOW_PRIVATE ?= true
# Exchanges go on while this is stopped; without data/, they open anew.
run-market: export SIMULATOR_START_FILE ?= data/exchanges-opened
run-market: export API_GATEWAY_AUTH ?= jwt
# Who may log in: `admin`, with the password in data/admin-password.
run-market: export AUTH ?= none
run-market: export AUTH_ISSUER ?= http://localhost:8085
run-market: export AUTH_AUDIENCE ?= kennel
run-market: export AUTH_JWKS_URL ?= http://localhost:8085/.well-known/jwks.json
run-market: export TOKEN_SECRET_FILE ?= data/token-secret
run-market: export FIRST_ADMIN ?= admin
run-market: export FIRST_ADMIN_PASSWORD_FILE ?= data/admin-password
run-market: export FIRST_ADMIN_PERMISSIONS ?= market:read
data/token-secret data/admin-password: # Secrets of this checkout, which are shown nowhere
	@mkdir -p data && umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >$@
run-market: tools data/token-secret data/admin-password ## Run the market analytics with simulated exchanges, as `make run` does; its page is http://localhost:8083, its gateway :8084
	$(CARGO) run -p market-pipeline -- serve $(ARGS)

release: tools ## Build target/release/dogs, or that of another SERVICE
	$(CARGO) build --release -p $(SERVICE)

test: tools ## Run every test that needs no server
	$(CARGO) test --workspace

test-matrix: tools ## Run every test with the servers of the TEST_* variables, and print a pass/fail table
	$(MATRIX)

test-services: tools engine ## The same with the servers of docker/compose.test.yml, which it starts and stops
	$(KENNEL_TEST) up -d $(WAIT)
	docker/with-servers tests $(MATRIX); result=$$?; $(KENNEL_TEST) down -v; exit $$result

test-gallery: tools ## Test the gallery in Chromium, driven by Node 20 or newer; skipped if one of them is missing
	TEST_CHROMIUM=$(CHROMIUM) $(CARGO) test -p dogs --test gallery -- --nocapture

screenshots: tools ## Take the screenshots of docs/images, with the same browser
	TEST_CHROMIUM=$(CHROMIUM) $(CARGO) test -p dogs --test gallery -- --nocapture --ignored screenshots

test-chart: tools ## Check the Helm charts with Helm and the schemas of Kubernetes; builds Helm (needs Go 1.26 and Python)
	variables=$$(.ci/services --only helm) && export $$variables && $(CARGO) test -p kennel-testkit --test helm

test-quick: tools ## Put a running service under light load for 5 seconds and print a summary
	$(CARGO) run -q -p dogs --example load -- --seconds 5 --workers 4 $(ARGS)

test-load: tools ## Put a running service under load for 30 seconds and print a summary
	$(CARGO) run -q -p dogs --example load -- --seconds 30 --workers 32 $(ARGS)

lint: tools ## Check formatting, lints and documentation as CI does
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

coverage: tools ## Run the tests that need no server, and write their coverage to target/coverage.lcov (needs cargo-llvm-cov)
	$(call installed,cargo-llvm-cov)
	$(CARGO) llvm-cov --workspace --lcov --output-path target/coverage.lcov
	$(CARGO) llvm-cov report --summary-only

audit: tools ## Check the licenses, sources and known vulnerabilities of all dependencies (needs cargo-deny and cargo-audit)
	$(call installed,cargo-deny)
	$(call installed,cargo-audit)
	$(CARGO) deny --all-features check
	$(CARGO) audit $(foreach id,$(shell sed -n 's/.*id = "\(RUSTSEC-[0-9-]*\)".*/\1/p' deny.toml),--ignore $(id))

images: engine ## Build the images of all services: IMAGE_REPOSITORY/<service>:IMAGE_TAG
	$(foreach service,$(SERVICES),docker build -f docker/Dockerfile --build-arg SERVICE=$(service) -t $(IMAGE_REPOSITORY)/$(service):$(IMAGE_TAG) . &&) true

push: images ## Build and push them
	$(foreach service,$(SERVICES),docker push $(IMAGE_REPOSITORY)/$(service):$(IMAGE_TAG) &&) true

deploy: ## Install or upgrade a system (CHART=gifs) with Helm: images IMAGE_REPOSITORY and IMAGE_TAG, settings in VALUES
	helm upgrade --install $(CHART) infra/helm/$(CHART) --namespace $(NAMESPACE) --create-namespace --atomic --timeout 10m \
		--set image.repository=$(IMAGE_REPOSITORY) --set image.tag=$(IMAGE_TAG) $(VALUES:%=--values %)

# Every crate of the workspace that a build of the service has is linted with it.
features: tools ## Check each store alone, and each pair of backends with a store, without the default features (needs cargo-hack)
	@$(CARGO) hack --version >/dev/null 2>&1 || { echo "cargo-hack is missing; install it with: cargo install cargo-hack --locked"; exit 1; }
	$(CARGO) hack clippy -p $(SERVICE) --feature-powerset --depth 2 --at-least-one-of sqlite,postgres,mysql,clickhouse \
		--include-features sqlite,postgres,mysql,clickhouse,nats,kafka,rabbitmq,redis,s3 \
		--exclude-no-default-features --exclude-all-features $(ARGS) -- -D warnings

fmt: tools ## Format the code
	$(CARGO) fmt --all

bench: RELEASE = $(or $(CARGO_TARGET_DIR),target)/release
bench: tools ## Measure dogs and the GIF pipeline against bare servers, and write docs/benchmarks.md (needs the servers of .ci/services)
	$(CARGO) build --release -p dogs
	cp $(RELEASE)/dogs $(RELEASE)/dogs-embedded
	$(CARGO) build --release -p dogs --features full
	$(CARGO) build --release -p gif-pipeline --features full
	$(CARGO) build --release -p kennel-bench --features servers
	$(RELEASE)/bench --service $(RELEASE)/dogs --embedded $(RELEASE)/dogs-embedded --output docs/benchmarks.md $(ARGS)

bench-parts: tools ## Measure the cost of telemetry and of SQLite's group commit
	$(CARGO) bench -p dogs -p dogs-storages

docs: tools ## Build the API documentation of the crates
	$(CARGO) doc --workspace --no-deps

generate: tools ## Regenerate api/, docs/configuration.md, protobuf code, dashboards and rules in infra/, examples/shop
	UPDATE=1 $(CARGO) test -q -p kennel-proto --test generated
	UPDATE=1 $(CARGO) test -q $(SERVICES:%=-p %) --lib contracts
	UPDATE=1 $(CARGO) test -q -p kennel-dashboards --test generated committed
	UPDATE=1 $(CARGO) test -q -p kennel-starter --test generated
	UPDATE=1 $(CARGO) test -q $(patsubst examples/shop/apps/%,-p %,$(wildcard examples/shop/apps/*)) --lib contracts

migrate-up: tools ## Migrate the database to the newest schema; another store with STORAGE=postgres|mysql|clickhouse
	$(MIGRATE) up

migrate-down: tools ## Revert the newest migration
	$(MIGRATE) down

migrate-status: tools ## Show which migrations are applied
	$(MIGRATE) status

up-pg run-pg full-pg: STORE := postgres
up-mysql run-mysql full-mysql: STORE := mysql
up-ch run-ch full-ch: STORE := clickhouse

engine: # What runs the containers
	@$(COMPOSE) version >/dev/null 2>&1 || { echo "Docker with Compose is missing; see https://docs.docker.com/engine/install"; exit 1; }

up-pg up-mysql up-ch: engine ## Start a store, the broker (BROKER=nats), Redis, MinIO and telemetry; not the service
	$(STACK) --profile app rm -sf $(SERVICE)
	SCRAPE=host $(STACK) up -d --build --remove-orphans $(WAIT)

run-pg run-mysql run-ch: run-%: tools up-% ## The same, with the service on the host
	docker/with-servers $(STORE) $(BROKER) $(CARGO) run -p $(SERVICE) --features $(STORE),redis,s3$(BROKER_FEATURE:%=,%) -- serve $(ARGS)

full-pg full-mysql full-ch: engine ## The same, with the service in a container of its own
	$(STACK) --profile app up -d --build --remove-orphans $(WAIT)
	@echo "gallery http://localhost:8080   metrics http://localhost:9090/metrics   Grafana http://localhost:3000"

up-gifs full-gifs down-gifs: STORE ?= postgres

up-gifs: engine ## Start what the GIF pipeline needs: a store (STORE=postgres), a broker (BROKER=kafka), Redis, MinIO, telemetry
	$(GIFS) up -d --build --remove-orphans $(WAIT)

full-gifs: engine ## The same, with its three services in containers
	$(GIFS) --profile gifs up -d --build --remove-orphans $(WAIT)
	@echo "page http://localhost:8081   Grafana http://localhost:3000"

down-gifs: engine ## Stop and remove these containers, with the same STORE and BROKER; with ARGS=-v their data too
	$(GIFS) --profile gifs down --remove-orphans $(ARGS)

up-market full-market down-market: STORE ?= postgres

up-market: engine ## Start what the market analytics need: a store (STORE=postgres), a broker (BROKER=kafka), Redis, telemetry
	$(MARKET) up -d --build --remove-orphans $(WAIT)

full-market: engine ## The same, with its services and simulated exchanges in containers
	$(MARKET) --profile market up -d --build --remove-orphans $(WAIT)
	@echo "chart http://localhost:8083   gateway http://localhost:8084   Grafana http://localhost:3000"

down-market: engine ## Stop and remove these containers, with the same STORE and BROKER; with ARGS=-v their data too
	$(MARKET) --profile market down --remove-orphans $(ARGS)

ps: engine ## Show the containers and their health
	$(EVERYTHING) ps

logs: engine ## Follow the logs; of one container with ARGS=dogs
	$(EVERYTHING) logs -f --tail=100 $(ARGS)

bucket-create: engine ## Create the bucket of the images if it is missing
	. ./.env-docker && $(EVERYTHING) exec -T minio mc --quiet mb --ignore-existing "local/$$S3_STORAGE_BUCKET"

down: engine ## Stop and remove the containers; the data is retained
	$(EVERYTHING) down --remove-orphans

down-clean: engine ## Stop and remove the containers and their data
	$(EVERYTHING) down --remove-orphans -v

clean: ## Remove build output and local data
	$(CARGO) clean
	rm -rf data
