//! The gRPC service `dogs.v1.DogService`.

mod convert;
mod import;
mod status;
mod watch;

use dogs_domain::ports::IdempotencyKey;
use dogs_domain::service::Expected;
use dogs_domain::{DogService, Revision};
use kennel_core::IdSource;
use kennel_grpc::{COMPRESSION, Reply, items, optional, page, respond};
use kennel_outbox::EventFeed;
use kennel_proto::convert::timestamp;
use kennel_proto::dogs::v1 as pb;
use kennel_proto::dogs::v1::dog_service_server::{DogService as Rpc, DogServiceServer};
use kennel_service::watch::Messages;
use std::sync::Arc;
use tonic::{Request, Response, Streaming};

use crate::http::DogUrls;
use convert::{breed, dog_id, new_dog, order, patch};
use status::domain_error;

/// `dogs.v1.DogService` over the domain service.
#[derive(Clone)]
pub struct DogRpc {
    service: DogService,
    feed: EventFeed,
    urls: DogUrls,
    ids: Arc<dyn IdSource>,
}

impl DogRpc {
    /// The service, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions, and may
    /// be compressed.
    pub fn server(
        service: DogService,
        feed: EventFeed,
        urls: DogUrls,
        ids: Arc<dyn IdSource>,
        max_message_bytes: usize,
    ) -> DogServiceServer<Self> {
        DogServiceServer::new(Self { service, feed, urls, ids })
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
            .accept_compressed(COMPRESSION)
            .send_compressed(COMPRESSION)
    }
}

fn expected(revision: Option<u32>) -> Expected {
    revision.map_or(Expected::Any, |revision| Expected::OneOf(vec![Revision(revision)]))
}

#[tonic::async_trait]
impl Rpc for DogRpc {
    async fn get_random_dog_image(
        &self,
        request: Request<pb::GetRandomDogImageRequest>,
    ) -> Reply<pb::GetRandomDogImageResponse> {
        let breed = breed(&request.get_ref().breed)?;
        let dog = self.service.fetch(&breed).await.map_err(domain_error)?;
        Ok(respond(pb::GetRandomDogImageResponse {
            id: dog.id.to_string(),
            image_url: self.urls.image(&dog).unwrap_or_default(),
            created_at: Some(timestamp(dog.created_at.as_millis())),
            breed: dog.breed.into(),
        }))
    }

    async fn create_dog(&self, request: Request<pb::CreateDogRequest>) -> Reply<pb::CreateDogResponse> {
        let request = request.into_inner();
        let key = request.idempotency_key.clone();
        let new = new_dog(request)?;
        let key = match key.as_str() {
            "" => None,
            key => Some(IdempotencyKey::new(key, &new).map_err(domain_error)?),
        };
        let created = self.service.create(new, key.as_ref()).await.map_err(domain_error)?;
        Ok(respond(pb::CreateDogResponse { dog: Some(convert::dog(created.dog, &self.urls)) }))
    }

    async fn get_dog(&self, request: Request<pb::GetDogRequest>) -> Reply<pb::GetDogResponse> {
        let id = dog_id(&request.get_ref().id)?;
        let dog = self.service.get(id).await.map_err(domain_error)?;
        Ok(respond(pb::GetDogResponse { dog: Some(convert::dog(dog, &self.urls)) }))
    }

    async fn list_dogs(&self, request: Request<pb::ListDogsRequest>) -> Reply<pb::ListDogsResponse> {
        let request = request.into_inner();
        let (size, after) = page(request.page_size, &request.page_token)?;
        let breed = optional("breed", &request.breed)?;
        let page = self.service.list(breed, after, order(request.order)?, size).await.map_err(domain_error)?;
        let (dogs, next_page_token) = items(page, |dog| convert::dog(dog, &self.urls));
        Ok(respond(pb::ListDogsResponse { dogs, next_page_token }))
    }

    async fn update_dog(&self, request: Request<pb::UpdateDogRequest>) -> Reply<pb::UpdateDogResponse> {
        let request = request.into_inner();
        let (id, expected) = (dog_id(&request.id)?, expected(request.expected_revision));
        let dog = self.service.update(id, &patch(request)?, &expected).await.map_err(domain_error)?;
        Ok(respond(pb::UpdateDogResponse { dog: Some(convert::dog(dog, &self.urls)) }))
    }

    async fn delete_dog(&self, request: Request<pb::DeleteDogRequest>) -> Reply<pb::DeleteDogResponse> {
        let request = request.get_ref();
        self.service.delete(dog_id(&request.id)?, &expected(request.expected_revision)).await.map_err(domain_error)?;
        Ok(respond(pb::DeleteDogResponse {}))
    }

    async fn list_breeds(&self, _: Request<pb::ListBreedsRequest>) -> Reply<pb::ListBreedsResponse> {
        let counts = self.service.breeds().await.map_err(domain_error)?;
        let breeds = counts.into_iter().map(|count| pb::Breed { name: count.breed.into(), dogs: count.dogs }).collect();
        Ok(respond(pb::ListBreedsResponse { breeds }))
    }

    async fn import_dogs(&self, request: Request<Streaming<pb::ImportDogsRequest>>) -> Reply<pb::ImportDogsResponse> {
        import::run(&self.service, &*self.ids, request).await.map(respond)
    }

    type WatchDogsStream = Messages<pb::WatchDogsResponse>;

    async fn watch_dogs(&self, request: Request<pb::WatchDogsRequest>) -> Reply<Self::WatchDogsStream> {
        let events = watch::open(&self.feed, &request.get_ref().last_event_id)?;
        let mut response = Response::new(events);
        // Compression does not pay off: events are small.
        response.disable_compression();
        Ok(response)
    }
}
