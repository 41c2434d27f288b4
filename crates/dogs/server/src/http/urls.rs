//! The URLs of dogs in responses.

use dogs_domain::{Breed, Dog, DogId};
use kennel_core::{Cursor, Order, PageSize};
use kennel_http::UrlBuilder;

const DOGS: &str = "/api/v1/dogs";

/// Builds the URLs of dogs that clients can reach.
#[derive(Debug, Clone)]
pub struct DogUrls(UrlBuilder);

impl DogUrls {
    /// Builds URLs below `public_url`, with or without a trailing slash.
    pub fn new(public_url: &str) -> Self {
        Self(UrlBuilder::new(public_url))
    }

    /// The URL of a dog.
    pub fn dog(&self, id: DogId) -> String {
        self.0.url(format_args!("{DOGS}/{id}"))
    }

    /// The URL of the stored image, else the link of the dog.
    pub fn image(&self, dog: &Dog) -> Option<String> {
        match dog.photo {
            Some(_) => Some(format!("{}/photo", self.dog(dog.id))),
            None => dog.image_url.clone(),
        }
    }

    /// The URL of the thumbnail; `None` until it is created.
    pub fn thumbnail(&self, dog: &Dog) -> Option<String> {
        dog.photo.as_ref()?.thumbnail.as_ref()?;
        Some(format!("{}/photo?variant=thumbnail", self.dog(dog.id)))
    }

    /// The URL of a page of dogs; of the first one without a cursor.
    pub(super) fn page(&self, breed: Option<&Breed>, order: Order, size: PageSize, cursor: Option<Cursor>) -> String {
        self.0.page(DOGS, order, size, &[("breed", breed.map(Breed::as_str))], cursor)
    }
}
