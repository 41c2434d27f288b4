//! The absolute URLs that answers carry.

use dogs_domain::{Breed, Dog, DogId};
use kennel_core::{Cursor, Order, PageSize};

/// Makes URLs that work where the caller is.
#[derive(Debug, Clone)]
pub struct Links {
    root: String,
}

impl Links {
    /// Links below `public_url`, with or without a slash at its end.
    pub fn new(public_url: &str) -> Self {
        Self { root: format!("{}/api/v1/dogs", public_url.trim_end_matches('/')) }
    }

    /// The dog itself.
    pub fn dog(&self, id: DogId) -> String {
        format!("{}/{id}", self.root)
    }

    /// The picture kept here, else the link that the dog was given.
    pub fn image(&self, dog: &Dog) -> Option<String> {
        match dog.photo {
            Some(_) => Some(format!("{}/photo", self.dog(dog.id))),
            None => dog.image_url.clone(),
        }
    }

    /// The small copy of the picture, once it is made.
    pub fn thumbnail(&self, dog: &Dog) -> Option<String> {
        dog.photo.as_ref()?.thumbnail.as_ref()?;
        Some(format!("{}/photo?variant=thumbnail", self.dog(dog.id)))
    }

    /// A page of dogs; the first one without a cursor.
    pub(super) fn page(&self, breed: Option<&Breed>, order: Order, size: PageSize, cursor: Option<Cursor>) -> String {
        let order = match order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        // Breeds and cursors are made of characters that need no escaping.
        let breed = breed.map(|breed| format!("&breed={breed}")).unwrap_or_default();
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        format!("{}?order={order}&limit={}{breed}{cursor}", self.root, size.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_what_was_asked_for() {
        let links = Links::new("https://kennel.example/dogs/");
        let (breed, size) = ("hound-afghan".parse().unwrap(), PageSize::new(7).unwrap());
        let cursor = Cursor(uuid::Uuid::from_u128(1));
        assert_eq!(
            links.page(Some(&breed), Order::Ascending, size, Some(cursor)),
            format!("https://kennel.example/dogs/api/v1/dogs?order=asc&limit=7&breed=hound-afghan&cursor={cursor}")
        );
        assert_eq!(
            links.page(None, Order::Descending, PageSize::default(), None),
            "https://kennel.example/dogs/api/v1/dogs?order=desc&limit=50"
        );
    }
}
