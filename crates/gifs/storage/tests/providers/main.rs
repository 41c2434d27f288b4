//! Contract suite over all adapters of providers: tests each statement of the port's documentation. The adapters of APIs are
//! also tested against a server that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod every;
mod misbehaving;
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use gif_storage::ProviderConfig;
use gif_storage::providers::connect;
use gifs_domain::catalogue::{FindRequest, GifProvider, Rating, Wanted};
use kennel_cache::{Connected, Counters};
use kennel_client::ClientMetrics;
use kennel_config::{HumanDuration, Section as _};
use kennel_core::{Clock, SystemClock};
use prometheus::Registry;
use scripted::{KEY, Scripted};

/// How long the adapters wait for an answer.
const TIMEOUT: Duration = Duration::from_millis(700);

/// An adapter, and the server that it asks.
struct Fixture {
    name: &'static str,
    provider: Arc<dyn GifProvider>,
    server: Scripted,
}

impl Fixture {
    async fn new(name: &'static str) -> Self {
        Self::with(name, |_| {}).await
    }

    async fn with(name: &'static str, change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let server = Scripted::start().await;
        let mut config = ProviderConfig {
            gif_providers: name.to_owned(),
            gif_provider_timeout: HumanDuration::from_millis(u64::try_from(TIMEOUT.as_millis()).unwrap()),
            gif_provider_allow_private: true,
            giphy_api_key: Some(KEY.into()),
            giphy_api_base_url: server.base("giphy"),
            klipy_api_key: Some(KEY.into()),
            klipy_api_base_url: server.base("klipy"),
            ..ProviderConfig::default()
        };
        change(&mut config);
        config.validate().unwrap();
        let counters = Counters::new(&Connected::memory(1 << 20), "quotas");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Registry::new();
        let clients = ClientMetrics::register(&registry).unwrap();
        let mut providers = connect(&config, "http://localhost:8082/", &counters, &clock, &registry, &clients).unwrap();
        let provider = providers.pop().unwrap();
        assert_eq!((provider.provider().name(), providers.len()), (name, 0));
        Self { name, provider, server }
    }
}

fn search(text: &str) -> FindRequest {
    let wanted = Wanted::Search(text.parse().unwrap());
    FindRequest { wanted, rating: Rating::Pg, language: None, size: 25, position: 0 }
}

/// Expands to one test per case for the adapter `$name`.
macro_rules! cases {
    ($name:literal, $module:ident { $($case:ident)+ }) => { $(
        #[tokio::test]
        async fn $case() {
            crate::$module::$case(crate::Fixture::new($name).await).await;
        }
    )+ };
}

macro_rules! every {
    ($name:literal) => {
        cases! { $name, every {
            a_search_finds_gifs
            the_original_is_the_largest_gif
            a_gif_is_the_same_whenever_it_is_found
            nothing_matches_is_an_empty_page
            a_page_has_at_most_the_requested_size
            pages_continue_without_gaps
            a_position_after_the_end_is_an_empty_page
            trending_finds_gifs_page_by_page
            random_finds_a_gif
            its_attribution_can_be_shown
            files_are_stored_only_where_it_is_allowed
        } }
    };
}

macro_rules! misbehaving {
    ($name:literal) => {
        cases! { $name, misbehaving {
            the_request_is_as_documented
            other_requests_go_to_their_endpoints
            advertisements_are_left_out
            values_of_other_types_are_read_and_unusable_items_left_out
            a_slow_answer_ends_in_time
            an_answer_of_another_shape_is_malformed
            an_answer_that_is_too_large_is_malformed
            a_key_that_is_refused_is_not_shown
            a_key_among_the_items_is_removed
            an_api_that_fails_is_unavailable
            an_api_says_when_it_is_back
            an_answer_that_is_cut_is_unavailable
            an_api_that_is_gone_is_unavailable_and_comes_back
            after_failures_in_a_row_it_is_not_asked
            a_success_between_failures_closes_the_circuit
            an_api_that_is_over_its_quota_is_not_asked
            our_quota_is_never_exceeded
            the_key_is_not_sent_elsewhere
            private_addresses_are_refused_by_default
        } }
    };
}

mod local {
    //! The bundled animations.
    every!("local");
}

mod giphy {
    //! GIPHY.
    every!("giphy");
    misbehaving!("giphy");
}

mod klipy {
    //! KLIPY.
    every!("klipy");
    misbehaving!("klipy");
}
