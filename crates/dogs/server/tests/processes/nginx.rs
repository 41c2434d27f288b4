//! The service behind a real nginx with a minimal configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use kennel_outbox::FeedConfig;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_proto::dogs::v1::{CreateDogRequest, WatchDogsRequest, WatchDogsResponse};
use kennel_testkit::Nginx;
use reqwest::Url;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tonic::Streaming;
use tonic::transport::Channel;

use crate::service_dir::ServiceDir;
use crate::support::{Messages, Setup, TEST_TIMEOUT, TestApp, TestResponse, next_event};

/// Shorter than the heartbeat of the service, which could flush buffers of nginx.
const IMMEDIATELY: Duration = Duration::from_secs(12);

fn http(nginx: &Nginx, settings: &str, service: &str) -> String {
    format!("server {{ listen {}; {settings} location / {{ proxy_pass http://{service}; }} }}", nginx.address())
}

fn grpc(nginx: &Nginx, settings: &str, service: &str) -> String {
    let address = nginx.other_address();
    format!("server {{ listen {address} http2; {settings} location / {{ grpc_pass grpc://{service}; }} }}")
}

async fn events(nginx: &Nginx) -> Messages {
    let request = reqwest::Client::new().get(format!("http://{}/api/v1/events", nginx.address()));
    Messages::of(request.send().await.unwrap()).await
}

fn rpc(nginx: &Nginx) -> DogServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", nginx.other_address())).unwrap();
    DogServiceClient::new(channel.timeout(TEST_TIMEOUT).connect_lazy())
}

async fn watch(nginx: &Nginx) -> Streaming<WatchDogsResponse> {
    rpc(nginx).watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner()
}

#[tokio::test]
async fn events_are_forwarded_immediately() {
    let Some(mut nginx) = Nginx::find() else { return };
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    nginx.run(&http(&nginx, "", &served.http.to_string())).await;
    let seen = async {
        let mut events = events(&nginx).await;
        let dog = served.dog("rex").await;
        assert_eq!(events.expect("dogs.created").await.data["subject"], dog);
    };
    timeout(IMMEDIATELY, seen).await.expect("nginx forwards events immediately");
}

#[tokio::test]
async fn calls_and_watches_are_forwarded_immediately() {
    let Some(mut nginx) = Nginx::find() else { return };
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let servers = [http(&nginx, "", &served.http.to_string()), grpc(&nginx, "", &served.grpc.unwrap().to_string())];
    nginx.run(&servers.concat()).await;
    let seen = async {
        let mut watched = watch(&nginx).await;
        assert_eq!(watched.message().await.unwrap().unwrap().r#type, "", "the position");
        let request = CreateDogRequest { breed: "husky".to_owned(), ..Default::default() };
        let dog = rpc(&nginx).create_dog(request).await.unwrap().into_inner().dog.unwrap();
        assert_eq!(next_event(&mut watched).await.unwrap().unwrap().subject, dog.id);
    };
    timeout(IMMEDIATELY, seen).await.expect("nginx forwards responses immediately");
}

/// Nginx closes streams that are silent for longer than its timeout, a minute by default. Here the timeout and the heartbeat
/// are shorter.
#[tokio::test]
async fn quiet_streams_stay_open() {
    const NGINX_TIMEOUT: Duration = Duration::from_secs(3);
    let Some(mut nginx) = Nginx::find() else { return };
    let feed = FeedConfig { heartbeat: NGINX_TIMEOUT / 10, ..FeedConfig::default() };
    let app = TestApp::with(Setup { feed, ..Setup::default() }).await;
    let waits = |setting: &str| format!("{setting} {}s;", NGINX_TIMEOUT.as_secs());
    let http = http(&nginx, &waits("proxy_read_timeout"), app.base.strip_prefix("http://").unwrap());
    let grpc = grpc(&nginx, &waits("grpc_read_timeout"), &app.grpc.to_string());
    nginx.run(&format!("{http} {grpc}")).await;

    let (mut events, mut watched) = (events(&nginx).await, watch(&nginx).await);
    let began = Instant::now();
    while began.elapsed() < NGINX_TIMEOUT * 2 {
        events.heartbeat().await;
        assert_eq!(watched.message().await.unwrap().unwrap().r#type, "");
    }
    let dog = app.dog("husky").await;
    assert_eq!(events.expect("dogs.created").await.data["subject"], dog["id"]);
    assert_eq!(next_event(&mut watched).await.unwrap().unwrap().subject, dog["id"]);
}

/// Every link in a page or a response must exist below the prefix.
#[tokio::test]
async fn everything_is_below_the_prefix() {
    let Some(mut nginx) = Nginx::find() else { return };
    let root = Url::parse(&format!("http://{}/kennel/", nginx.address())).unwrap();
    let directory = ServiceDir::new().set("PUBLIC_URL", root.as_str());
    let served = directory.serve().await;
    let location = format!("location /kennel/ {{ proxy_pass http://{}/; }}", served.http);
    nginx.run(&format!("server {{ listen {}; {location} }}", nginx.address())).await;

    let gallery = links(&root, &text(&root).await);
    assert!(gallery.len() > 10, "{gallery:?}");
    let page = gallery.iter().find(|link| link.path() == "/kennel/documentation/").expect("the API's page");
    let files = links(page, &text(page).await);
    for link in gallery.union(&files) {
        get(link).await;
    }
    let moved = text(&root.join("swagger").unwrap()).await;
    assert_eq!(links(page, &moved), files, "it redirects to the page");

    let initializer = files.iter().find(|file| file.path().ends_with("initializer.js")).expect("the page's settings");
    assert!(text(initializer).await.contains("\"../openapi.json\""));
    let description = page.join("../openapi.json").unwrap();
    let api: Value = get(&description).await.json();
    let base = description.join(api["servers"][0]["url"].as_str().unwrap()).unwrap();
    get(&base.join("api/v1/breeds").unwrap()).await;

    let dog = get(&root.join("api/v1/dogs/husky/image").unwrap()).await.json();
    get(&Url::parse(dog["image_url"].as_str().unwrap()).unwrap()).await;
}

/// The response to a GET, which must be 200.
async fn get(url: &Url) -> TestResponse {
    TestResponse::of(reqwest::Client::new().get(url.clone())).await.expect(200)
}

async fn text(url: &Url) -> String {
    String::from_utf8(get(url).await.body.to_vec()).unwrap()
}

/// The targets of the links of a page, which must all be relative.
fn links(page: &Url, html: &str) -> BTreeSet<Url> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    let links = values.filter_map(|rest| rest.split('"').next()).filter(|link| !link.starts_with("data:"));
    links
        .map(|link| {
            assert!(!link.starts_with('/') && !link.contains("://"), "{link}");
            let mut url = page.join(link).unwrap();
            url.set_fragment(None);
            url
        })
        .collect()
}
