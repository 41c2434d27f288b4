//! Requests of all kinds, and faults.

use std::time::Duration;

use futures_util::future::join_all;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_proto::dogs::v1::{CreateDogRequest, GetDogRequest, ListDogsRequest};
use kennel_testkit::Behaviour;
use kennel_testkit::upstream::images;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::subject::Subject;

/// The clients of the service.
pub(crate) struct Load {
    client: Client,
    grpc: DogServiceClient<Channel>,
    base: String,
}

impl Load {
    pub(crate) async fn new(subject: &Subject) -> Self {
        // Another test of this process may already have installed it.
        rustls::crypto::ring::default_provider().install_default().ok();
        // The service closes a connection after it rejected a body, so connections are not reused.
        let client = Client::builder().timeout(Duration::from_secs(30)).pool_max_idle_per_host(0).build().unwrap();
        let grpc = DogServiceClient::connect(format!("http://{}", subject.grpc)).await.unwrap();
        Self { client, grpc, base: format!("http://{}/api/v1/dogs", subject.http) }
    }

    /// Happens once: a thumbnail, a dead letter, and an event that cannot be handled yet.
    pub(crate) async fn first_round(&self, subject: &Subject) {
        let dog = self.dog().await;
        self.put_photo(&dog, images::png("rex")).await.unwrap();
        self.until_thumbnail(&dog).await;
        // Equal images are stored once: the second dog gets the damaged one, which has no thumbnail.
        subject.damage(&images::png("rex"));
        self.put_photo(&self.dog().await, images::png("rex")).await.unwrap();
        subject.block_thumbnails();
        self.put_photo(&self.dog().await, images::png("stuck")).await.unwrap();
    }

    /// The database is locked for as long as the service waits for it.
    pub(crate) async fn locked_round(&self, subject: &Subject) {
        let lock = subject.lock_database().await;
        let dogs = join_all((0..16).map(|_| self.client.post(&self.base).json(&json!({ "breed": "husky" })).send()));
        for response in dogs.await {
            assert_eq!(response.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        lock.close().await.unwrap();
    }

    /// Requests of all kinds.
    pub(crate) async fn round(&self, subject: &Subject) {
        let dog = self.dog().await;
        self.reads(&dog).await;
        self.writes(&dog).await;
        self.calls(&dog).await;
        self.fetches(subject).await;
    }

    async fn reads(&self, dog: &str) {
        // Concurrently, so that some wait for the load of another; then again, from the cache.
        let path = format!("/{dog}");
        join_all((0..6).map(|_| self.get(&path))).await;
        join_all((0..6).map(|_| self.get(&path))).await;
        assert_eq!(self.get("?limit=5").await, StatusCode::OK);
        assert_eq!(self.get("/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10").await, StatusCode::NOT_FOUND);
        assert_eq!(self.get("/nonsense/at/all").await, StatusCode::NOT_FOUND);
    }

    async fn writes(&self, dog: &str) {
        let url = format!("{}/{dog}", self.base);
        join_all((0..6).map(|turn| self.client.patch(&url).json(&json!({ "name": format!("n{turn}") })).send())).await;
        // Rejected as too large. The response may come before the body is sent, and be lost.
        self.put_photo(dog, vec![0xff; 300 * 1024]).await.unwrap_err();
        self.get(&format!("/{dog}/photo")).await;
    }

    async fn calls(&self, dog: &str) {
        let mut grpc = self.grpc.clone();
        grpc.get_dog(GetDogRequest { id: dog.to_owned() }).await.unwrap();
        grpc.list_dogs(ListDogsRequest::default()).await.unwrap();
        let unknown = grpc.create_dog(CreateDogRequest { breed: "..".to_owned(), ..CreateDogRequest::default() }).await;
        unknown.unwrap_err();
    }

    /// Successful, slow and failing responses of the source.
    async fn fetches(&self, subject: &Subject) {
        for (behaviour, times) in [
            (Behaviour::Normal, 1),
            (Behaviour::Slow(Duration::from_millis(400)), 4),
            (Behaviour::Status(500, None), 2),
        ] {
            subject.upstream.behave(behaviour);
            join_all((0..times).map(|_| self.get("/husky/image"))).await;
        }
        subject.upstream.behave(Behaviour::Normal);
    }

    async fn get(&self, path: &str) -> StatusCode {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        let status = response.status();
        response.bytes().await.unwrap();
        status
    }

    async fn put_photo(&self, dog: &str, photo: Vec<u8>) -> Result<(), reqwest::Error> {
        let request = self.client.put(format!("{}/{dog}/photo", self.base)).header("content-type", "image/png");
        request.body(photo).send().await?.error_for_status().map(drop)
    }

    async fn dog(&self) -> String {
        let response = self.client.post(&self.base).json(&json!({ "breed": "husky" })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let dog: Value = response.json().await.unwrap();
        dog["id"].as_str().unwrap().to_owned()
    }

    async fn until_thumbnail(&self, dog: &str) {
        let began = Instant::now();
        loop {
            let response = self.client.get(format!("{}/{dog}", self.base)).send().await.unwrap();
            let dog: Value = response.json().await.unwrap();
            if dog["thumbnail_url"].is_string() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no thumbnail: {dog}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
