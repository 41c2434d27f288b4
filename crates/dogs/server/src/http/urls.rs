//! The absolute URLs in responses.

use dogs_domain::{Breed, Dog, DogId};
use kennel_core::{Cursor, Order, PageSize};

/// Builds URLs that clients can reach.
#[derive(Debug, Clone)]
pub struct UrlBuilder {
    root: String,
}

impl UrlBuilder {
    /// Builds URLs below `public_url`, with or without a trailing slash.
    pub fn new(public_url: &str) -> Self {
        Self { root: format!("{}/api/v1/dogs", public_url.trim_end_matches('/')) }
    }

    /// The URL of a dog.
    pub fn dog(&self, id: DogId) -> String {
        format!("{}/{id}", self.root)
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
        let order = match order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        // Breeds and cursors contain no characters that need escaping.
        let breed = breed.map(|breed| format!("&breed={breed}")).unwrap_or_default();
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        format!("{}?order={order}&limit={}{breed}{cursor}", self.root, size.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_urls_contain_the_parameters() {
        let urls = UrlBuilder::new("https://kennel.example/dogs/");
        let (breed, size) = ("hound-afghan".parse().unwrap(), PageSize::new(7).unwrap());
        let cursor = Cursor(uuid::Uuid::from_u128(1));
        assert_eq!(
            urls.page(Some(&breed), Order::Ascending, size, Some(cursor)),
            format!("https://kennel.example/dogs/api/v1/dogs?order=asc&limit=7&breed=hound-afghan&cursor={cursor}")
        );
        assert_eq!(
            urls.page(None, Order::Descending, PageSize::default(), None),
            "https://kennel.example/dogs/api/v1/dogs?order=desc&limit=50"
        );
    }
}
