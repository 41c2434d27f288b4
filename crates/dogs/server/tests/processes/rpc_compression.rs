//! Calls of clients that compress their messages, as `grpc.insecure_channel(.., compression=Gzip)` does in Python.

use futures_util::stream;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_proto::dogs::v1::{
    CreateDogRequest, GetRandomDogImageRequest, ImportDogsRequest, ImportDogsRow, ListBreedsRequest, ListDogsRequest,
    UpdateDogRequest, WatchDogsRequest,
};
use tonic::Code;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::service_dir::{RunningService, ServiceDir};
use crate::support::next_event;

const MIB: usize = 1024 * 1024;

fn client(served: &RunningService) -> DogServiceClient<Channel> {
    served.rpc().send_compressed(Gzip).accept_compressed(Gzip)
}

#[tokio::test]
async fn every_call_can_be_compressed() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = client(&served);
    let mut events = client.watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner();
    let new = CreateDogRequest { breed: "husky".to_owned(), name: Some("Balto".to_owned()), ..Default::default() };
    let dog = client.create_dog(new).await.unwrap().into_inner().dog.unwrap();
    assert_eq!(next_event(&mut events).await.unwrap().unwrap().subject, dog.id);
    let change = UpdateDogRequest { id: dog.id, name: Some("Togo".to_owned()), ..Default::default() };
    assert_eq!(client.update_dog(change).await.unwrap().into_inner().dog.unwrap().name.as_deref(), Some("Togo"));
    let husky = GetRandomDogImageRequest { breed: "husky".to_owned() };
    assert_eq!(client.get_random_dog_image(husky).await.unwrap().into_inner().breed, "husky");

    let name = Some("x".repeat(100));
    let rows = vec![ImportDogsRow { breed: "boxer".to_owned(), name, ..Default::default() }; 500];
    let message = move |n: usize| ImportDogsRequest { import_key: format!("key-{n}"), rows: rows.clone() };
    let imported = client.import_dogs(stream::iter((0..8).map(message))).await.unwrap().into_inner();
    assert_eq!(imported.created, 4_000);

    let page = client.list_dogs(ListDogsRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    assert_eq!(page.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(page.into_inner().dogs.len(), 1_000);
    assert!(!client.list_breeds(ListBreedsRequest {}).await.unwrap().into_inner().breeds.is_empty());

    let mut health = HealthClient::new(served.channel()).send_compressed(Gzip).accept_compressed(Gzip);
    health.check(HealthCheckRequest { service: "dogs.v1.DogService".to_owned() }).await.unwrap();
}

/// A few kilobytes that decompress to many megabytes.
#[tokio::test]
async fn messages_over_the_limit_are_rejected_before_they_are_decompressed() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = client(&served);
    let within = |bytes: usize| CreateDogRequest {
        breed: "husky".to_owned(),
        name: Some("x".repeat(bytes)),
        ..Default::default()
    };
    // The limit is 4 MiB after decompression: this message is decoded, and its name is too long.
    let looked_at = client.create_dog(within(4 * MIB - 1_024)).await.unwrap_err();
    assert_eq!(looked_at.code(), Code::InvalidArgument, "{looked_at}");
    let before = peak_memory(&served);
    for _ in 0..3 {
        let assert_error = client.create_dog(within(32 * MIB)).await.unwrap_err();
        assert_eq!(assert_error.code(), Code::ResourceExhausted, "{assert_error}");
        assert!(assert_error.message().contains(&(4 * MIB).to_string()), "{assert_error}");
    }
    // The kernel's figure is approximate, and can be smaller afterwards.
    let grown = peak_memory(&served).saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes more, for messages of {} bytes", 32 * MIB);
    let rows = vec![ImportDogsRow { name: Some("x".repeat(32 * MIB)), ..Default::default() }];
    let message = ImportDogsRequest { import_key: String::new(), rows };
    let assert_error = client.import_dogs(stream::iter([message])).await.unwrap_err();
    assert_eq!(assert_error.code(), Code::ResourceExhausted, "{assert_error}");
    assert!(served.dogs().await.is_empty());
}

/// The peak memory of the process, in bytes.
fn peak_memory(served: &RunningService) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.process.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1_024
}
