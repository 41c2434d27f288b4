//! Settings of Kafka.

use std::num::NonZeroU16;
use std::path::PathBuf;

use kennel_config::{Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Kafka cluster, for `BROKER=kafka`.
///
/// The variables that name the topic of an event move it from the topic that all events of dogs share: it is then ordered
/// only among the events of the same topic.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KafkaSettings {
    /// The bootstrap servers: `host:port`, separated by commas.
    pub kafka_brokers: Option<String>,
    /// The authentication: `none`, `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. Unset: `none`.
    pub kafka_auth_type: Option<String>,
    /// The user name.
    pub kafka_username: Option<String>,
    /// The password of the user.
    pub kafka_password: Option<Secret>,
    /// Encrypt connections to Kafka.
    pub kafka_tls_enabled: bool,
    /// Do not verify the certificate of Kafka. Rejected unless `kafka_tls_allow_insecure` is also on.
    pub kafka_tls_skip_verify: bool,
    /// Allow settings that expose secrets to the network.
    pub kafka_tls_allow_insecure: bool,
    /// A PEM file with the trusted certificate authorities. Unset: those of the system.
    #[schemars(with = "Option<String>")]
    pub kafka_tls_ca_cert: Option<PathBuf>,
    /// Partitions of created topics. Unset: 3. Existing topics are not changed.
    pub kafka_partitions: Option<NonZeroU16>,
    /// Replication factor of created topics. Unset: the default of the cluster.
    pub kafka_replication: Option<NonZeroU16>,
    /// A separate topic for the event that a dog was created.
    pub kafka_topic_dogs_created: Option<String>,
    /// A separate topic for the event that a dog was updated.
    pub kafka_topic_dogs_updated: Option<String>,
    /// A separate topic for the event that a dog was deleted.
    pub kafka_topic_dogs_deleted: Option<String>,
    /// A separate topic for the event that an image was stored.
    pub kafka_topic_dogs_image_stored: Option<String>,
    /// A separate topic for the event that a thumbnail was stored.
    pub kafka_topic_dogs_thumbnail_stored: Option<String>,
    /// A separate topic for the event that a batch of an import was committed.
    pub kafka_topic_dogs_imported: Option<String>,
}

impl Section for KafkaSettings {
    const TITLE: &'static str = "Kafka";
}

#[cfg(feature = "kafka")]
mod compiled_in {
    use dogs_domain::events::{self, DogCreated, DogDeleted, DogUpdated, DogsImported, ImageStored, ThumbnailStored};
    use kennel_broker::kafka::{Auth, KafkaConfig, Route, Tls, Tuning};
    use kennel_config::Problems;
    use kennel_core::EventType as _;

    use super::KafkaSettings;

    impl KafkaSettings {
        /// The configuration of Kafka.
        pub fn kafka(&self) -> KafkaConfig {
            let defaults = Tuning::default();
            KafkaConfig {
                brokers: self.kafka_brokers.clone().unwrap_or_default(),
                auth: self.auth().unwrap_or_default(),
                username: self.kafka_username.clone(),
                password: self.kafka_password.clone().map(Into::into),
                tls: Tls {
                    enabled: self.kafka_tls_enabled,
                    ca_cert: self.kafka_tls_ca_cert.clone(),
                    skip_verify: self.kafka_tls_skip_verify,
                    allow_insecure: self.kafka_tls_allow_insecure,
                },
                routes: self.routes().into_iter().map(|(_, route)| route).collect(),
                topics: vec![events::TOPIC.to_owned()],
                tuning: Tuning {
                    partitions: self.kafka_partitions.unwrap_or(defaults.partitions),
                    replication: self.kafka_replication,
                    ..defaults
                },
                ..KafkaConfig::default()
            }
        }

        /// Adds the problems of the settings, if Kafka is the broker.
        pub fn check_as_broker(&self, problems: &mut Problems) {
            if self.auth().is_none() {
                problems.add("kafka_auth_type", "must be none, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
            }
            for (key, route) in self.routes() {
                if let Some(problem) = route.problem() {
                    problems.add(key, problem);
                }
            }
            let others = self.kafka().problems().into_iter().filter(|(setting, _)| *setting != "kafka.routes");
            for (setting, problem) in others {
                problems.add(&setting.replace('.', "_"), problem);
            }
        }

        fn auth(&self) -> Option<Auth> {
            self.kafka_auth_type.as_deref().map_or(Some(Auth::None), |name| name.parse().ok())
        }

        /// The events with a separate topic, and the settings that name it.
        fn routes(&self) -> Vec<(&'static str, Route)> {
            let settings = [
                ("kafka_topic_dogs_created", DogCreated::NAME, &self.kafka_topic_dogs_created),
                ("kafka_topic_dogs_updated", DogUpdated::NAME, &self.kafka_topic_dogs_updated),
                ("kafka_topic_dogs_deleted", DogDeleted::NAME, &self.kafka_topic_dogs_deleted),
                ("kafka_topic_dogs_image_stored", ImageStored::NAME, &self.kafka_topic_dogs_image_stored),
                ("kafka_topic_dogs_thumbnail_stored", ThumbnailStored::NAME, &self.kafka_topic_dogs_thumbnail_stored),
                ("kafka_topic_dogs_imported", DogsImported::NAME, &self.kafka_topic_dogs_imported),
            ];
            let route = |event: &str, to: &String| Route {
                event: event.to_owned(),
                topic: events::TOPIC.to_owned(),
                to: to.clone(),
            };
            settings.into_iter().filter_map(|(key, event, to)| Some((key, route(event, to.as_ref()?)))).collect()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn topic_settings_are_named_after_their_events() {
            let all = serde_json::to_value(KafkaSettings::default()).unwrap();
            let mut settings = KafkaSettings::default();
            let keys: Vec<_> = all.as_object().unwrap().keys().filter(|key| key.starts_with("kafka_topic_")).collect();
            for key in &keys {
                let one = serde_json::json!({ key.as_str(): "elsewhere" });
                settings = serde_json::from_value(one).unwrap();
                let [(named, route)] = &settings.routes()[..] else { panic!("{key} routes one event") };
                assert_eq!(
                    (named, format!("kafka_topic_{}", route.event.replace('.', "_"))),
                    (&key.as_str(), (*key).clone())
                );
            }
            assert_eq!(keys.len(), 6);
            assert_eq!(settings.kafka().routes.len(), 1);
        }
    }
}
