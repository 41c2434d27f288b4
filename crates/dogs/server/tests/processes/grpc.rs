//! gRPC with a generated client: every unary call and every error.

use kennel_proto::convert::millis;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_proto::dogs::v1::{
    CreateDogRequest, DeleteDogRequest, Dog, GetDogRequest, GetRandomDogImageRequest, ListBreedsRequest,
    ListDogsRequest, Order, UpdateDogRequest,
};
use kennel_testkit::{Behaviour, Upstream};
use prost_types::FieldMask;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use crate::service_dir::ServiceDir;

type Client = DogServiceClient<Channel>;

const UNKNOWN: &str = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10";

/// Asserts the details that every error must have.
#[track_caller]
pub fn assert_error(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, "dogs"), "{status:?}");
    let request = details.request_info().expect("every error has RequestInfo");
    assert!(!request.request_id.is_empty());
}

/// Asserts that the field is reported as invalid.
#[track_caller]
pub fn assert_invalid(status: &Status, field: &str) {
    assert_error(status, Code::InvalidArgument, "invalid");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("the value is named").field_violations;
    assert_eq!((violations.len(), violations[0].field.as_str()), (1, field), "{violations:?}");
    assert!(!violations[0].description.is_empty());
}

fn change_of(dog: &Dog) -> UpdateDogRequest {
    UpdateDogRequest { id: dog.id.clone(), ..Default::default() }
}

async fn create(client: &mut Client, name: &str) -> Dog {
    let request = CreateDogRequest { breed: "husky".to_owned(), name: Some(name.to_owned()), ..Default::default() };
    client.create_dog(request).await.unwrap().into_inner().dog.unwrap()
}

#[tokio::test]
async fn a_dog_is_created_read_updated_and_deleted() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let created = client
        .create_dog(CreateDogRequest {
            breed: "Hound/Afghan".to_owned(),
            name: Some("Balto".to_owned()),
            image_url: Some("https://dogs.example/a.jpg".to_owned()),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .dog
        .unwrap();
    assert_eq!((created.breed.as_str(), created.revision, &created.thumbnail_url), ("hound-afghan", 1, &None));
    assert_eq!(created.created_at, created.updated_at);
    let by_id = GetDogRequest { id: created.id.clone() };
    assert_eq!(client.get_dog(by_id.clone()).await.unwrap().into_inner().dog.as_ref(), Some(&created));
    let over_http = served.get(&format!("/api/v1/dogs/{}", created.id)).await.expect(200).json();
    assert_eq!((&over_http["name"], &over_http["image_url"]), (&"Balto".into(), &"https://dogs.example/a.jpg".into()));

    // Without a mask, only fields with a value change; a field in the mask without a value is cleared.
    let change = UpdateDogRequest { id: created.id.clone(), name: Some("Togo".to_owned()), ..Default::default() };
    let changed = client.update_dog(change).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((changed.name.as_deref(), changed.revision, &changed.image_url), (Some("Togo"), 2, &created.image_url));
    let update_mask = Some(FieldMask { paths: vec!["image_url".to_owned()] });
    let name = Some("not in the mask".to_owned());
    let change = UpdateDogRequest { id: created.id.clone(), name, update_mask, ..Default::default() };
    let changed = client.update_dog(change).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((changed.name.as_deref(), changed.revision, changed.image_url), (Some("Togo"), 3, None));
    assert!(millis(&changed.updated_at.unwrap()) >= millis(&changed.created_at.unwrap()));

    // An empty mask is like no mask, and a star selects every field (AIP-134).
    let empty = Some(FieldMask::default());
    let change = UpdateDogRequest { name: Some("Fritz".to_owned()), update_mask: empty, ..change_of(&created) };
    let changed = client.update_dog(change).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((changed.name.as_deref(), changed.breed.as_str()), (Some("Fritz"), "hound-afghan"));
    let star = Some(FieldMask { paths: vec!["*".to_owned()] });
    let change = UpdateDogRequest { breed: Some("boxer".to_owned()), update_mask: star.clone(), ..change_of(&created) };
    let changed = client.update_dog(change).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((changed.name, changed.breed.as_str(), changed.revision), (None, "boxer", 5));
    let change = UpdateDogRequest { name: Some("x".to_owned()), update_mask: star, ..change_of(&created) };
    assert_invalid(&client.update_dog(change).await.unwrap_err(), "breed");

    client.delete_dog(DeleteDogRequest { id: created.id.clone(), expected_revision: Some(5) }).await.unwrap();
    let gone = client.get_dog(by_id).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "not_found");
    assert!(gone.message().contains(&created.id), "{gone}");
}

#[tokio::test]
async fn missing_dogs_are_not_found() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let id = UNKNOWN.to_owned();
    assert_error(&client.get_dog(GetDogRequest { id: id.clone() }).await.unwrap_err(), Code::NotFound, "not_found");
    let change = UpdateDogRequest { id: id.clone(), name: Some("x".to_owned()), ..Default::default() };
    assert_error(&client.update_dog(change).await.unwrap_err(), Code::NotFound, "not_found");
    let removal = DeleteDogRequest { id, expected_revision: None };
    assert_error(&client.delete_dog(removal).await.unwrap_err(), Code::NotFound, "not_found");
    let unicorn = GetRandomDogImageRequest { breed: "unicorn".to_owned() };
    let status = client.get_random_dog_image(unicorn).await.unwrap_err();
    assert_error(&status, Code::NotFound, "not_found");
    assert_eq!(status.message(), "there is no breed `unicorn`");
}

#[tokio::test]
async fn invalid_values_are_named() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let dog = create(&mut client, "Balto").await;
    let new = |breed: &str, name: Option<&str>, url: Option<&str>, key: &str| CreateDogRequest {
        breed: breed.to_owned(),
        name: name.map(str::to_owned),
        image_url: url.map(str::to_owned),
        idempotency_key: key.to_owned(),
    };
    let long = "x".repeat(101);
    for (request, field) in [
        (new("", None, None, ""), "breed"),
        (new("a.b", None, None, ""), "breed"),
        (new("husky", Some(""), None, ""), "name"),
        (new("husky", Some(&long), None, ""), "name"),
        (new("husky", None, Some("ftp://dogs.example"), ""), "image_url"),
        (new("husky", None, None, "a b"), "idempotency_key"),
    ] {
        assert_invalid(&client.create_dog(request).await.unwrap_err(), field);
    }
    assert_invalid(&client.get_dog(GetDogRequest { id: "7".to_owned() }).await.unwrap_err(), "id");
    let removal = DeleteDogRequest { id: String::new(), expected_revision: None };
    assert_invalid(&client.delete_dog(removal).await.unwrap_err(), "id");
    let unclear = GetRandomDogImageRequest { breed: "../etc".to_owned() };
    assert_invalid(&client.get_random_dog_image(unclear).await.unwrap_err(), "breed");
    for (request, field) in [
        (ListDogsRequest { page_size: 1_001, ..Default::default() }, "page_size"),
        (ListDogsRequest { page_token: "x".to_owned(), ..Default::default() }, "page_token"),
        (ListDogsRequest { breed: "a.b".to_owned(), ..Default::default() }, "breed"),
        (ListDogsRequest { order: 3, ..Default::default() }, "order"),
    ] {
        assert_invalid(&client.list_dogs(request).await.unwrap_err(), field);
    }
    let masked = |path: &str| UpdateDogRequest {
        id: dog.id.clone(),
        update_mask: Some(FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    assert_invalid(&client.update_dog(masked("breed")).await.unwrap_err(), "breed");
    let unknown = client.update_dog(masked("created_at")).await.unwrap_err();
    assert_invalid(&unknown, "update_mask");
    assert!(unknown.message().contains("`created_at`"), "{unknown}");
    let blank = UpdateDogRequest { name: Some(" ".to_owned()), ..masked("name") };
    assert_invalid(&client.update_dog(blank).await.unwrap_err(), "name");
    assert_eq!(served.dogs().await.len(), 1);
}

#[tokio::test]
async fn a_stale_revision_changes_nothing() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let dog = create(&mut client, "Balto").await;
    let change = |name: &str, revision| UpdateDogRequest {
        id: dog.id.clone(),
        name: Some(name.to_owned()),
        expected_revision: Some(revision),
        ..Default::default()
    };
    client.update_dog(change("Togo", 1)).await.unwrap();
    let stale = client.update_dog(change("Fritz", 1)).await.unwrap_err();
    assert_error(&stale, Code::FailedPrecondition, "precondition_failed");
    let removal = DeleteDogRequest { id: dog.id.clone(), expected_revision: Some(1) };
    assert_error(&client.delete_dog(removal).await.unwrap_err(), Code::FailedPrecondition, "precondition_failed");
    let stored = client.get_dog(GetDogRequest { id: dog.id.clone() }).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((stored.name.as_deref(), stored.revision), (Some("Togo"), 2));

    let at_once = (0..8).map(|n| {
        let (mut client, change) = (client.clone(), change(&format!("writer {n}"), 2));
        async move { client.update_dog(change).await.map(|response| response.into_inner().dog.unwrap().revision) }
    });
    let outcomes = futures_util::future::join_all(at_once).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for status in lost {
        assert_error(&status.unwrap_err(), Code::FailedPrecondition, "precondition_failed");
    }
}

#[tokio::test]
async fn a_repeated_request_creates_one_dog() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let client = served.rpc();
    let request = |name: &str| CreateDogRequest {
        breed: "husky".to_owned(),
        name: Some(name.to_owned()),
        idempotency_key: "one".to_owned(),
        ..Default::default()
    };
    let at_once = (0..4).map(|_| {
        let (mut client, request) = (client.clone(), request("Balto"));
        async move { client.create_dog(request).await.unwrap().into_inner().dog.unwrap() }
    });
    let dogs = futures_util::future::join_all(at_once).await;
    assert!(dogs.iter().all(|dog| *dog == dogs[0]), "{dogs:?}");
    let mut client = client;
    assert_invalid(&client.create_dog(request("Togo")).await.unwrap_err(), "idempotency_key");
    assert_eq!(served.dogs().await.len(), 1);

    // The key is stored with the dog, not in the process.
    let (id, over_http) = (dogs[0].id.clone(), serde_json::json!({ "breed": "husky", "name": "Balto" }));
    served.stop().await;
    let served = directory.serve().await;
    let again = served.rpc().create_dog(request("Balto")).await.unwrap().into_inner().dog.unwrap();
    let request = served.request("POST", "/api/v1/dogs").header("idempotency-key", "one").json(&over_http);
    let response: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((&again.id, &response["id"]), (&id, &serde_json::json!(id)), "both protocols share the keys");
}

#[tokio::test]
async fn pages_contain_every_dog_once_while_others_are_created() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    let mut created = Vec::new();
    for number in 0..7 {
        created.push(create(&mut client, &format!("dog {number}")).await.id);
    }
    for order in [Order::Ascending, Order::Descending] {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListDogsRequest { page_size: 3, page_token, order: order.into(), breed: "Husky".to_owned() };
            let page = client.list_dogs(request).await.unwrap().into_inner();
            assert!(page.dogs.len() <= 3);
            seen.extend(page.dogs.into_iter().map(|dog| dog.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
            if order == Order::Descending {
                create(&mut client, "newer than all pages").await;
            }
        }
        if order == Order::Descending {
            seen.reverse();
        }
        assert_eq!(seen, created, "{order:?}");
    }
    let all = client.list_dogs(ListDogsRequest::default()).await.unwrap().into_inner();
    assert_eq!((all.dogs.len(), all.next_page_token.as_str()), (9, ""));
    let others = ListDogsRequest { breed: "boxer".to_owned(), ..Default::default() };
    assert_eq!(client.list_dogs(others).await.unwrap().into_inner().dogs, []);
}

#[tokio::test]
async fn images_and_breeds_come_from_the_source() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream);
    let served = directory.serve().await;
    let mut client = served.rpc();
    let husky = || GetRandomDogImageRequest { breed: "husky".to_owned() };
    let fetched = client.get_random_dog_image(husky()).await.unwrap().into_inner();
    assert_eq!(fetched.breed, "husky");
    served.get(&fetched.image_url).await.expect(200);
    let dog = client.get_dog(GetDogRequest { id: fetched.id }).await.unwrap().into_inner().dog.unwrap();
    assert_eq!((dog.image_url, dog.created_at), (Some(fetched.image_url), fetched.created_at));
    let breeds = client.list_breeds(ListBreedsRequest {}).await.unwrap().into_inner().breeds;
    assert!(breeds.is_sorted_by(|a, b| a.name < b.name));
    let dogs = |name: &str| breeds.iter().find(|breed| breed.name == name).map(|breed| breed.dogs);
    assert_eq!((dogs("husky"), dogs("hound-afghan"), dogs("unicorn")), (Some(1), Some(0), None));

    upstream.behave(Behaviour::UnexpectedJson);
    let nonsense = client.get_random_dog_image(husky()).await.unwrap_err();
    assert_error(&nonsense, Code::Unavailable, "bad_upstream");
    upstream.behave(Behaviour::Status(503, Some(7)));
    let unavailable = client.get_random_dog_image(husky()).await.unwrap_err();
    assert_error(&unavailable, Code::Unavailable, "unavailable");
    let retry = unavailable.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry.as_secs() >= 1, "{retry:?}");
    assert_eq!(served.dogs().await.len(), 1);
}

#[tokio::test]
async fn the_server_has_reflection_and_health() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut health = HealthClient::new(served.channel());
    for service in ["", "dogs.v1.DogService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest { service: "cats.v1.CatService".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);

    let mut reflection = ServerReflectionClient::new(served.channel());
    let requests = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("dogs.v1.DogService.WatchDogs".to_owned()),
    ];
    let requests =
        requests.map(|message| ServerReflectionRequest { host: String::new(), message_request: Some(message) });
    let mut responses =
        reflection.server_reflection_info(futures_util::stream::iter(requests)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        responses.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["dogs.v1.DogService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    let Some(MessageResponse::FileDescriptorResponse(files)) =
        responses.message().await.unwrap().unwrap().message_response
    else {
        panic!("no descriptor")
    };
    assert!(!files.file_descriptor_proto.is_empty());
}

#[tokio::test]
async fn calls_are_counted_by_method() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut client = served.rpc();
    create(&mut client, "Balto").await;
    client.get_dog(GetDogRequest { id: UNKNOWN.to_owned() }).await.unwrap_err();
    let counted = async |method: &str, code: &str, fault: &str| {
        let service = "dogs.v1.DogService";
        let labels = format!(r#"{{code="{code}",fault="{fault}",method="{method}",service="{service}"}}"#);
        served.metric(&format!("grpc_server_handled_total{labels}")).await
    };
    assert!((counted("CreateDog", "OK", "none").await - 1.0).abs() < f64::EPSILON);
    assert!((counted("GetDog", "NOT_FOUND", "caller").await - 1.0).abs() < f64::EPSILON);
    assert!(!served.metrics().await.contains(UNKNOWN));
}
