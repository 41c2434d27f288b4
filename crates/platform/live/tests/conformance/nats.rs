use async_nats::jetstream;
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use kennel_core::{IdSource as _, UuidV7};
use kennel_live::{LiveBackend, LiveConfig, NatsSource};
use kennel_testkit::Backend;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;

struct Bucket {
    url: String,
    name: String,
    store: kv::Store,
}

#[async_trait]
impl Store for Bucket {
    fn source(&self) -> Box<dyn LiveSource> {
        Box::new(NatsSource::new(&config(&self.url, &self.name)).unwrap())
    }

    async fn set(&self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => {
                self.store.put(key, value.to_owned().into()).await.unwrap();
            }
            None => self.store.delete(key).await.unwrap(),
        }
    }
}

fn config(url: &str, bucket: &str) -> LiveConfig {
    LiveConfig {
        live_settings: LiveBackend::Nats,
        live_nats_url: Some(url.into()),
        live_nats_bucket: bucket.to_owned(),
        ..LiveConfig::default()
    }
}

impl Drop for Bucket {
    /// Deletes the bucket, in a runtime of its own: that of the test may have ended.
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let delete = async move {
            let client = async_nats::connect(&url).await.ok()?;
            jetstream::new(client).delete_key_value(&name).await.ok()
        };
        let delete =
            move || tokio::runtime::Builder::new_current_thread().enable_all().build().map(|it| it.block_on(delete));
        std::thread::spawn(delete).join().ok();
    }
}

/// Creates a bucket in memory, as `create_key_value` does, which fails to read the account of a server of the version 2.9.
async fn create(jetstream: &jetstream::Context, name: &str) -> kv::Store {
    let config = Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        storage: StorageType::Memory,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
    jetstream.get_key_value(name).await.unwrap()
}

/// A bucket with a unique name.
async fn bucket(backend: Backend) -> Option<Bucket> {
    let url = backend.address()?;
    let name = format!("live_{}", UuidV7.next().simple());
    let jetstream = jetstream::new(async_nats::connect(&url).await.unwrap());
    let store = create(&jetstream, &name).await;
    Some(Bucket { url, name, store })
}

mod oldest {
    use super::*;

    async fn fresh() -> Option<Bucket> {
        bucket(Backend::Nats).await
    }

    crate::conformance!(fresh);
}

mod current {
    use super::*;

    async fn fresh() -> Option<Bucket> {
        bucket(Backend::NatsCurrent).await
    }

    crate::conformance!(fresh);
}

mod source {
    use super::*;

    /// The source returns to its values after the bucket was deleted and created again.
    #[tokio::test]
    async fn a_missing_bucket_is_unavailable_until_it_is_there() {
        let Some(store) = bucket(Backend::Nats).await else { return };
        let jetstream = jetstream::new(async_nats::connect(&store.url).await.unwrap());
        jetstream.delete_key_value(&store.name).await.unwrap();
        let mut source = store.source();
        assert!(matches!(source.next().await, Err(LiveError::Unavailable(_))));
        let created = create(&jetstream, &store.name).await;
        created.put("shop/a", "1".into()).await.unwrap();
        until(&mut source, values([("shop/a", "1")])).await;
        jetstream.delete_key_value(&store.name).await.unwrap();
    }

    /// The shared test server requires no credentials, so a server that only reads the first line looks at them.
    #[tokio::test]
    async fn the_credentials_of_the_settings_are_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://shop@{}", listener.local_addr().unwrap());
        let config = LiveConfig { live_nats_password: Some("p@ss".into()), ..config(&url, "live") };
        let mut source = NatsSource::new(&config).unwrap();
        let greeting = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let info = "INFO {\"server_id\":\"S\",\"version\":\"2.11.0\",\"proto\":1,\"max_payload\":1024,\"auth_required\":true}\r\n";
            stream.write_all(info.as_bytes()).await.unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.unwrap();
            line
        };
        let line = tokio::select! {
            line = greeting => line,
            next = source.next() => panic!("{next:?}"),
        };
        assert!(line.contains(r#""user":"shop""#) && line.contains(r#""pass":"p@ss""#), "{line}");
    }
}
