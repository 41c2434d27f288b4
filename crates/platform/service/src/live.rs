//! Settings that change while the process runs.

use std::error::Error;

use kennel_config::HumanDuration;
use kennel_http::RequestTimeout;
use kennel_live::{LiveSettings, LiveWatch};

use crate::settings::StandardSettings;
use crate::{Service, Uses};

/// The live settings of a service, and the component that follows their source if there is one.
pub(crate) fn settings<S: Service>(standard: &mut StandardSettings) -> (LiveSettings, Option<LiveWatch>) {
    if !S::USES.includes(Uses::LIVE) {
        return (LiveSettings::defaults(S::NAME), None);
    }
    let (settings, watch) = match kennel_live::source(&standard.live) {
        Ok(Some(source)) => {
            let (watch, settings) = LiveWatch::new(S::NAME, source);
            (settings, Some(watch))
        }
        Ok(None) => (LiveSettings::defaults(S::NAME), None),
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "there are no live settings");
            (LiveSettings::defaults(S::NAME), None)
        }
    };
    if watch.is_some() {
        let key = format!("transport/rest/{}/timeout", S::HTTP_NAME);
        let timeout = settings.checked(&key, standard.http.server.request_timeout, |timeout: &HumanDuration| {
            // That of `REQUEST_TIMEOUT`.
            if *timeout < HumanDuration::from_millis(1) { Err("must be at least 1ms".to_owned()) } else { Ok(()) }
        });
        standard.http.timeout = Some(RequestTimeout::new(move || timeout.get().get()));
    }
    (settings, watch)
}
