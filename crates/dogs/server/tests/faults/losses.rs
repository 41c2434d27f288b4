//! The program with a broker of its own that restarts, that loses its data, and that an operator removes something from.
//!
//! After each loss, pictures get their thumbnails and followers get their events, with nothing done to the processes.

use std::collections::BTreeSet;
use std::time::Duration;

use kennel_testkit::{PrivateServer, Server, Upstream};
use tokio::time::{Instant, sleep, timeout};

use crate::broker::with_variables;
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::Messages;

/// What the names of the broker's objects begin with.
const PREFIX: &str = "tests";
/// Longer than it takes until all works again.
const BOUND: Duration = Duration::from_secs(50);
/// Between two looks whether a thumbnail is there.
const POLL: Duration = Duration::from_millis(20);
/// RabbitMQ 3.10 writes the names of new quorum queues to disk only when none was created for half a second (`auto_save` in
/// `ra_directory` of its library ra 2.2.0). If it is killed earlier, the queues exist afterwards without a leader.
const NAMES_ARE_SAVED: Duration = Duration::from_secs(2);

/// What happens to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It is killed and started with its data.
    Restart,
    /// It is killed and started without data.
    Wipe,
    /// An operator removes this.
    Object(&'static str),
}

macro_rules! servers {
    ($($feature:literal $name:ident $server:ident)+) => { $(
        #[cfg(feature = $feature)]
        mod $name {
            use kennel_testkit::Server;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn pictures_get_thumbnails_after_each_loss_with_one_process() {
                super::pictures_get_thumbnails_after_each_loss(Server::$server, 1).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn pictures_get_thumbnails_after_each_loss_with_two_processes() {
                super::pictures_get_thumbnails_after_each_loss(Server::$server, 2).await;
            }
        }
    )+ };
}

servers! {
    "nats" nats_oldest Nats
    "nats" nats_current NatsCurrent
    "kafka" kafka Kafka
    "rabbitmq" rabbitmq RabbitMq
}

/// How a service finds the broker.
fn variables(server: &PrivateServer, kind: Server) -> [(&'static str, String); 3] {
    let (broker, address) = match kind {
        Server::Nats | Server::NatsCurrent => ("nats", "NATS_URL"),
        Server::Kafka => ("kafka", "KAFKA_BROKERS"),
        Server::RabbitMq => ("rabbitmq", "RABBITMQ_URL"),
        other => panic!("{other:?} is no broker"),
    };
    [("BROKER", broker.to_owned()), (address, server.url()), ("BROKER_PREFIX", PREFIX.to_owned())]
}

/// What an operator can remove that the service needs for a thumbnail.
fn objects(kind: Server) -> &'static [&'static str] {
    match kind {
        Server::Nats | Server::NatsCurrent => &["events stream", "groups stream"],
        Server::Kafka => &["topic"],
        Server::RabbitMq => &["exchange of the topic", "exchange of the groups", "queues of the group"],
        other => panic!("{other:?} is no broker"),
    }
}

/// Removes one of [`objects`].
async fn remove(server: &PrivateServer, object: &str) {
    let url = server.url();
    match object {
        #[cfg(feature = "nats")]
        "events stream" | "groups stream" => {
            let kind = if object == "groups stream" { "groups" } else { "topic-dogs_events" };
            let name = format!("{PREFIX}-{kind}");
            // A stream that replaced another has a longer name.
            let removed =
                kennel_testkit::broker_namespace::remove_streams(&url, |found| found.starts_with(&name)).await;
            assert_eq!(removed.unwrap().len(), 1);
        }
        #[cfg(feature = "kafka")]
        "topic" => {
            let name = format!("{PREFIX}.dogs.events");
            let removed = kennel_testkit::broker_namespace::remove_topics(&url, |found| found == name).await;
            assert_eq!(removed.unwrap(), [name]);
        }
        #[cfg(feature = "rabbitmq")]
        "exchange of the topic" | "exchange of the groups" | "queues of the group" => {
            let exchange = |kind: &str| vec![format!("{PREFIX}.{kind}.dogs_events")];
            let (queues, exchanges) = match object {
                "exchange of the topic" => (vec![], exchange("topic")),
                "exchange of the groups" => (vec![], exchange("groups")),
                _ => {
                    let queue = |partition| format!("{PREFIX}.queue.dogs_events.dogs_thumbnailer.{partition}");
                    ((0..PARTITIONS).map(queue).collect(), vec![])
                }
            };
            kennel_testkit::broker_namespace::remove_queues_and_exchanges(&url, &queues, &exchanges).await.unwrap();
        }
        other => panic!("{other} cannot be removed"),
    }
}

/// The partitions that RabbitMQ's queues are made for by default.
#[cfg(feature = "rabbitmq")]
const PARTITIONS: u16 = 8;

/// Makes it happen; the pictures that were stored while the broker was down.
async fn lose(server: &mut PrivateServer, loss: Loss, process: &RunningService) -> Vec<String> {
    match loss {
        Loss::Object(object) => {
            remove(server, object).await;
            vec![]
        }
        Loss::Restart | Loss::Wipe => {
            server.kill().await;
            let dog = process.fetch().await;
            if matches!(loss, Loss::Wipe) {
                server.wipe();
            }
            server.run().await;
            vec![dog]
        }
    }
}

/// Waits until each of these dogs has a thumbnail; the ones that get none.
async fn without_thumbnails(service: &RunningService, dogs: &[String]) -> Vec<String> {
    let (began, mut left) = (Instant::now(), dogs.to_vec());
    while !left.is_empty() && began.elapsed() < BOUND {
        let dog = service.get(&format!("/api/v1/dogs/{}", left[0])).await.expect(200).json();
        if dog["thumbnail_url"].is_string() {
            left.remove(0);
        } else {
            sleep(POLL).await;
        }
    }
    left
}

/// Reads until there was an event of each of these dogs; false when some do not come.
async fn follow(events: &mut Messages, dogs: &[String]) -> bool {
    let mut left: BTreeSet<_> = dogs.iter().map(String::as_str).collect();
    let followed = timeout(BOUND, async {
        while !left.is_empty() {
            let message = events.next().await.expect("the stream goes on");
            left.remove(message.data["subject"].as_str().unwrap_or_default());
        }
    });
    followed.await.is_ok()
}

async fn pictures_get_thumbnails_after_each_loss(kind: Server, processes: usize) {
    let Some(mut server) = PrivateServer::start(kind).await else { return };
    let upstream = Upstream::new().await;
    let directory = with_variables(ServiceDir::with_upstream(&upstream), &variables(&server, kind));
    let mut all = Vec::new();
    for _ in 0..processes {
        all.push(directory.serve().await);
    }
    let first = [all[0].fetch().await];
    assert!(without_thumbnails(&all[0], &first).await.is_empty());
    let mut losses: Vec<_> = objects(kind).iter().map(|object| Loss::Object(object)).collect();
    losses.extend([Loss::Wipe, Loss::Restart]);
    // Twice: a broker without data can seem older to a client than what it knows of one that was restarted.
    losses.extend_from_within(..);
    for loss in losses {
        eventually("nothing waits", async || (all[0].metric("outbox_pending").await == 0.0).then_some(())).await;
        if kind == Server::RabbitMq && loss == Loss::Restart {
            sleep(NAMES_ARE_SAVED).await;
        }
        let mut events = all[processes - 1].events(None).await;
        let mut dogs = lose(&mut server, loss, &all[0]).await;
        let began = Instant::now();
        for service in &all {
            dogs.push(service.fetch().await);
        }
        let output = || all.iter().map(|service| service.process.output()).collect::<Vec<_>>().join("\n\n");
        let without = without_thumbnails(&all[0], &dogs).await;
        assert!(without.is_empty(), "{loss:?}: {without:?} of {dogs:?} get no thumbnail; it wrote:\n{}", output());
        let took = began.elapsed().as_secs_f64();
        let is_whole = follow(&mut events, &dogs).await;
        let followed = began.elapsed().as_secs_f64();
        println!(
            "{kind:?}, {loss:?}, {processes} processes: thumbnails after {took:.1} s, events after {followed:.1} s"
        );
        assert!(is_whole, "{loss:?}: a follower misses events; it wrote:\n{}", output());
    }
    for service in all {
        service.stop().await;
    }
}
