//! The streaming calls: imports and the watch.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kennel_outbox::FeedConfig;
use kennel_proto::convert::millis;
use kennel_proto::dogs::v1::{
    CreateDogRequest, GetDogRequest, ImportDogsRequest, ImportDogsResponse, ImportDogsRow, ListDogsRequest,
    WatchDogsRequest, WatchDogsResponse,
};
use prost_types::Timestamp;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::grpc::{assert_error, assert_invalid};
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::{Setup, TEST_TIMEOUT, TestApp, next_event};

fn row(breed: &str, name: &str) -> ImportDogsRow {
    ImportDogsRow { breed: breed.to_owned(), name: Some(name.to_owned()), ..Default::default() }
}

fn rows(count: usize) -> Vec<ImportDogsRow> {
    (0..count).map(|n| row("husky", &format!("dog {n}"))).collect()
}

/// Messages of up to `size` rows; the first one has the key of the import.
fn messages(key: &str, rows: &[ImportDogsRow], size: usize) -> Vec<ImportDogsRequest> {
    let name = |first: bool| if first { key.to_owned() } else { String::new() };
    let chunks = rows.chunks(size).enumerate();
    chunks.map(|(n, rows)| ImportDogsRequest { import_key: name(n == 0), rows: rows.to_vec() }).collect()
}

async fn import(served: &RunningService, messages: Vec<ImportDogsRequest>) -> Result<ImportDogsResponse, Status> {
    served.rpc().import_dogs(stream::iter(messages)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn invalid_rows_are_reported_and_the_others_are_imported() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let id = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10";
    let created_at = Some(Timestamp { seconds: 1_582_977_600, nanos: 123_999_999 });
    let own = ImportDogsRow { id: Some(id.to_owned()), created_at, ..row("Hound/Afghan", "Balto") };
    let broken_id = ImportDogsRow { id: Some("7".to_owned()), ..row("husky", "x") };
    let broken_url = ImportDogsRow { image_url: Some("ftp://dogs.example".to_owned()), ..row("husky", "x") };
    let all = [own, row("a.b", "x"), row("husky", " "), broken_id, broken_url, row("boxer", "Togo")];
    let report = import(&served, messages("k", &all, 2)).await.unwrap();
    assert_eq!((report.import_key.as_str(), report.lines, report.resumed_from), ("k", 6, 0));
    assert_eq!((report.created, report.skipped, report.failed), (2, 0, 4));
    let errors: Vec<_> = report.errors.iter().map(|error| (error.line, error.field.as_str())).collect();
    assert_eq!(errors[..2], [(2, "breed"), (3, "name")]);
    assert_eq!((errors[2].0, errors[3]), (4, (5, "image_url")));
    assert!(report.errors.iter().all(|error| !error.reason.is_empty()));

    let dog = served.rpc().get_dog(GetDogRequest { id: id.to_owned() }).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((dog.breed.as_str(), millis(&dog.created_at.unwrap())), ("hound-afghan", Some(1_582_977_600_123)));
    let again = import(&served, messages("other", &all, 100)).await.unwrap();
    assert_eq!((again.created, again.skipped, again.failed), (1, 1, 4));
}

/// As over HTTP; an invalid time is never replaced by another one.
#[tokio::test]
async fn rows_with_invalid_times_are_rejected() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let at = |seconds, nanos| ImportDogsRow { created_at: Some(Timestamp { seconds, nanos }), ..row("husky", "x") };
    let all = [
        at(1_764_374_400_000, 0),
        at(1_764_374_400, -1),
        at(1_764_374_400, 1_000_000_000),
        at(-62_135_596_801, 0),
        at(253_402_300_800, 0),
        at(i64::MAX, i32::MAX),
        at(-62_135_596_800, 0),
        at(1_764_374_400, 999_999_999),
    ];
    let report = import(&served, messages("k", &all, 3)).await.unwrap();
    assert_eq!((report.lines, report.created, report.failed), (8, 2, 6));
    for (error, line) in report.errors.iter().zip(1..) {
        assert_eq!((error.line, error.field.as_str()), (line, "created_at"), "{error:?}");
        assert!(error.reason.contains("years 1 to 9999"), "{error:?}");
    }
    let listed = served.rpc().list_dogs(ListDogsRequest::default()).await.unwrap().into_inner().dogs;
    let mut times: Vec<_> = listed.iter().map(|dog| millis(dog.created_at.as_ref().unwrap()).unwrap()).collect();
    times.sort_unstable();
    assert_eq!(times, [-62_135_596_800_000, 1_764_374_400_999]);
    let line = "{\"breed\":\"husky\",\"created_at\":\"0000-06-01T00:00:00Z\"}\n";
    let over_http = served
        .request("POST", "/api/v1/dogs/import")
        .header("content-type", "application/x-ndjson")
        .body(line)
        .send()
        .await
        .unwrap();
    let over_http: serde_json::Value = over_http.json().await.unwrap();
    assert_eq!(over_http["errors"][0]["field"], "created_at", "{over_http}");
}

#[tokio::test]
async fn an_interrupted_import_is_resumed() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let (count, half) = (10_000, 6_000);
    let all = rows(count);
    // The client cancels the call: the stream of messages never ends and the call is dropped.
    let head = stream::iter(messages("k", &all[..half], 500)).chain(stream::pending());
    let mut client = served.rpc();
    let call = client.import_dogs(head);
    let seen = wait_for_a_batch(&served);
    futures_util::future::select(std::pin::pin!(call), std::pin::pin!(seen)).await;

    let report = import(&served, messages("k", &all, 700)).await.unwrap();
    assert_eq!(report.lines, u64::try_from(count).unwrap());
    assert!(report.resumed_from > 0, "{report:?}");
    assert_eq!(report.resumed_from + report.created + report.skipped, report.lines, "{report:?}");
    let stored = directory.run(&["export"]).await.ends(0).stdout.lines().count();
    assert_eq!(stored, count);

    let again = import(&served, messages("k", &all, 300)).await.unwrap();
    assert_eq!((again.resumed_from, again.created, again.skipped), (report.lines, 0, 0));
    let mut others = all.clone();
    others[0].name = Some("someone else".to_owned());
    assert_invalid(&import(&served, messages("k", &others, 300)).await.unwrap_err(), "import_key");
}

#[tokio::test]
async fn a_running_import_does_not_delay_a_stop() {
    let directory = ServiceDir::new();
    let mut served = directory.serve().await;
    let all = rows(6_000);
    let head = stream::iter(messages("k", &all, 500)).chain(stream::pending());
    let mut client = served.rpc();
    let mut call = tokio::task::JoinSet::new();
    call.spawn(async move { client.import_dogs(head).await });
    wait_for_a_batch(&served).await;
    served.process.terminate();
    let status = call.join_next().await.unwrap().unwrap().unwrap_err();
    assert_error(&status, Code::Unavailable, "unavailable");
    assert_eq!(served.process.wait(TEST_TIMEOUT / 3).await.code(), Some(0), "{}", served.process.output());
    let report = import(&directory.serve().await, messages("k", &all, 500)).await.unwrap();
    assert_eq!((report.lines, report.resumed_from + report.created), (6_000, 6_000));
}

async fn wait_for_a_batch(served: &RunningService) {
    eventually("a batch is stored", async || {
        let page = served.get("/api/v1/dogs?limit=1").await.expect(200).json();
        (!page["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rows_are_the_same_over_every_protocol() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let all = [row("husky", "Balto"), row("boxer", "Togo")];
    import(&served, messages("k", &all, 1)).await.unwrap();
    let lines = "{\"breed\":\"husky\",\"name\":\"Balto\"}\n{\"breed\":\"boxer\",\"name\":\"Togo\"}\n";
    let ended = directory.run_with_input(&["import", "-", "--key", "k"], lines.as_bytes()).await.ends(0);
    assert_eq!(ended.stdout, "2 lines: 0 created, 0 existing, 0 rejected, resumed after line 2\n");
    assert_eq!(served.dogs().await.len(), 2);
}

#[tokio::test]
async fn imports_without_a_key_or_a_message() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let one = import(&served, messages("", &rows(1), 1)).await.unwrap();
    let other = import(&served, messages("", &rows(1), 1)).await.unwrap();
    assert!(!one.import_key.is_empty() && one.import_key != other.import_key);
    assert_eq!(one.created + other.created, 2);
    assert_invalid(&import(&served, Vec::new()).await.unwrap_err(), "import_key");
    assert_invalid(&import(&served, messages("a b", &rows(1), 1)).await.unwrap_err(), "import_key");
    let empty = ImportDogsRequest { import_key: "empty".to_owned(), rows: Vec::new() };
    assert_eq!(import(&served, vec![empty]).await.unwrap().lines, 0);
}

fn watch(last: &str) -> WatchDogsRequest {
    WatchDogsRequest { last_event_id: last.to_owned() }
}

#[tokio::test]
async fn a_watch_resumes_after_its_last_event() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let mut live = client.watch_dogs(watch("")).await.unwrap().into_inner();
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let request = CreateDogRequest { breed: "husky".to_owned(), name: Some(name.to_owned()), ..Default::default() };
        ids.push(client.create_dog(request).await.unwrap().into_inner().dog.unwrap());
    }
    let mut received = Vec::new();
    for dog in &ids {
        let event = next_event(&mut live).await.unwrap().unwrap();
        assert_eq!((event.r#type.as_str(), &event.subject), ("dogs.created", &dog.id));
        assert!(millis(event.time.as_ref().unwrap()) >= millis(dog.created_at.as_ref().unwrap()));
        let breed = event.data.as_ref().unwrap().fields["breed"].kind.clone();
        assert_eq!(breed, Some(prost_types::value::Kind::StringValue("husky".to_owned())));
        received.push(event);
    }
    drop(live);

    let mut resumed = client.watch_dogs(watch(&received[0].id)).await.unwrap().into_inner();
    for event in &received[1..] {
        assert_eq!(next_event(&mut resumed).await.unwrap().as_ref(), Some(event));
    }
    let late = served.dog("late").await;
    assert_eq!(next_event(&mut resumed).await.unwrap().unwrap().subject, late, "and continues live");
    served.stop().await;
    assert_error(&next_event(&mut resumed).await.unwrap_err(), Code::Unavailable, "unavailable");

    let served = directory.serve().await;
    let mut resumed = served.rpc().watch_dogs(watch(&received[1].id)).await.unwrap().into_inner();
    assert_eq!(next_event(&mut resumed).await.unwrap().as_ref(), Some(&received[2]), "also by another process");
}

#[tokio::test]
async fn a_watch_that_broke_before_its_first_event_misses_none() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let mut first = client.watch_dogs(watch("")).await.unwrap().into_inner();
    let position = |id: &str| WatchDogsResponse { id: id.to_owned(), ..Default::default() };
    // No event was ever published, so resuming there requires a reload.
    let nothing = first.message().await.unwrap().unwrap();
    assert_eq!(nothing, position(&Uuid::nil().to_string()));
    let mut unknown = client.watch_dogs(watch(&nothing.id)).await.unwrap().into_inner();
    assert_eq!(next_event(&mut unknown).await.unwrap_err().code(), Code::FailedPrecondition);
    served.dog("known").await;
    let known = next_event(&mut first).await.unwrap().unwrap();

    let mut idle = client.watch_dogs(watch("")).await.unwrap().into_inner();
    let greeting = idle.message().await.unwrap().unwrap();
    assert_eq!(greeting, position(&known.id));
    drop(idle);
    let missed = served.dog("missed").await;
    let mut again = client.watch_dogs(watch(&greeting.id)).await.unwrap().into_inner();
    assert_eq!(again.message().await.unwrap(), Some(greeting), "it starts at its position");
    assert_eq!(next_event(&mut again).await.unwrap().unwrap().subject, missed);
    served.stop().await;

    let served = directory.serve().await;
    let mut again = served.rpc().watch_dogs(watch(&known.id)).await.unwrap().into_inner();
    assert_eq!(next_event(&mut again).await.unwrap().unwrap().subject, missed, "also by another process");
}

#[tokio::test]
async fn a_quiet_watch_repeats_its_position() {
    let feed = FeedConfig { heartbeat: Duration::from_millis(20), ..FeedConfig::default() };
    let app = TestApp::with(Setup { feed, ..Setup::default() }).await;
    let mut watched = app.rpc().watch_dogs(watch("")).await.unwrap().into_inner();
    let dog = app.dog("husky").await;
    let event = next_event(&mut watched).await.unwrap().unwrap();
    assert_eq!(event.subject, dog["id"]);
    for _ in 0..3 {
        let heartbeat = watched.message().await.unwrap().unwrap();
        assert_eq!(heartbeat, WatchDogsResponse { id: event.id.clone(), ..Default::default() });
    }
}

#[tokio::test]
async fn a_watch_after_an_unknown_event_fails() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let mut gone = client.watch_dogs(watch("0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")).await.unwrap().into_inner();
    assert_error(&next_event(&mut gone).await.unwrap_err(), Code::FailedPrecondition, "precondition_failed");
    assert!(gone.message().await.unwrap().is_none(), "no message follows a status");
    assert_invalid(&client.watch_dogs(watch("seven")).await.unwrap_err(), "last_event_id");
}
