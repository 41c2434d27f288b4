//! The operations on dogs, independent of protocols.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;
use futures_util::{StreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectMeta, PutOptions, sniff};
use kennel_core::{
    Clock, CodecError, Cursor, Event, EventType, IdSource, ObjectKey, ObjectStore, Order, Page, PageSize, Receipt,
    Timestamp, TraceContext,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::events::{self, DogCreated, DogDeleted, DogUpdated, ImageStored, ThumbnailStored};
use crate::model::{MAX_NAME_CHARS, MAX_URL_BYTES};
use crate::ports::{DogQuery, IdempotencyKey, Inserted, PictureCheck, PictureRefused, SourceError, ThumbnailSet};
use crate::{Breed, BreedCount, Dog, DogError, DogId, DogImports, DogRepository, DogSource, Photo, Revision};

/// Maximum number of attempts of a change when the same dog is changed concurrently.
const UPDATE_TRIES: usize = 8;

/// The ports that [`DogService`] uses.
#[derive(Clone)]
pub struct Ports {
    /// Stores dogs.
    pub repo: Arc<dyn DogRepository>,
    /// Stores the dogs of imports.
    pub imports: Arc<dyn DogImports>,
    /// Supplies images of dogs.
    pub source: Arc<dyn DogSource>,
    /// Stores images.
    pub objects: Arc<dyn ObjectStore>,
    /// Rejects images that no thumbnail can be created from.
    pub pictures: Arc<dyn PictureCheck>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Generates ids.
    pub ids: Arc<dyn IdSource>,
    /// Returns the trace context of the current request, which its events propagate.
    pub trace: fn() -> Option<TraceContext>,
}

/// The service.
#[derive(Clone)]
pub struct DogService {
    pub(crate) ports: Ports,
    max_picture_bytes: u64,
}

/// A dog to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewDog {
    /// Its breed.
    pub breed: Breed,
    /// Its name.
    pub name: Option<String>,
    /// A link to an image elsewhere.
    pub image_url: Option<String>,
}

/// A change of a dog. `None` leaves a value unchanged; `Some(None)` removes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DogPatch {
    /// Another breed.
    pub breed: Option<Breed>,
    /// Another name, or none.
    pub name: Option<Option<String>>,
    /// Another link, or none.
    pub image_url: Option<Option<String>>,
}

/// The revisions at which the caller allows a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any revision.
    Any,
    /// One of these revisions.
    OneOf(Vec<Revision>),
}

impl Expected {
    fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}

/// A dog as it was created, now or by an earlier request with the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The dog.
    pub dog: Dog,
    /// Whether an earlier request created it.
    pub replayed: bool,
}

/// A variant of a dog's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// The image as it was stored.
    Original,
    /// The thumbnail.
    Thumbnail,
}

impl IdempotencyKey {
    /// Maximum length of a key, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Binds `key`, 1 to 255 visible ASCII characters, to the request for `dog`.
    pub fn new(key: &str, dog: &NewDog) -> Result<Self, DogError> {
        check_key(key, Self::MAX_BYTES)?;
        let request = serde_json::to_vec(dog).map_err(|error| CodecError::Encode(error.into()))?;
        Ok(Self { key: key.to_owned(), fingerprint: Sha256::digest(request).into() })
    }
}

/// Fails when a client's key is empty, longer than `max` bytes or not visible ASCII.
pub(crate) fn check_key(key: &str, max: usize) -> Result<(), DogError> {
    if key.is_empty() || key.len() > max || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(DogError::InvalidKey(format!("must be 1 to {max} visible ASCII characters")));
    }
    Ok(())
}

/// Fails when a name is blank, too long or contains control characters.
pub(crate) fn check_name(name: Option<&str>) -> Result<(), DogError> {
    let good = |name: &str| {
        !name.trim().is_empty() && name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control)
    };
    match name {
        Some(name) if !good(name) => {
            Err(DogError::invalid("name", format!("must be 1 to {MAX_NAME_CHARS} printable characters")))
        }
        _ => Ok(()),
    }
}

/// Fails when a link is not `http` or `https`, or is too long.
pub(crate) fn check_url(url: Option<&str>) -> Result<(), DogError> {
    let Some(url) = url else { return Ok(()) };
    let refused = |reason: String| Err(DogError::invalid("image_url", reason));
    let is_printable = url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic());
    // Schemes know no case (RFC 3986, section 3.1).
    let rest = url
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)));
    let authority = rest.map_or("", |(_, rest)| rest.split(['/', '?', '#', '\\']).next().unwrap_or_default());
    if !is_printable || authority.is_empty() {
        return refused(format!("must be an http or https URL of at most {MAX_URL_BYTES} characters"));
    }
    if authority.contains('@') {
        // Everyone who can read the dog would see it.
        return refused("must not contain a user or a password".to_owned());
    }
    Ok(())
}

impl DogService {
    /// Creates a service that accepts images of at most `max_picture_bytes` bytes.
    pub fn new(ports: Ports, max_picture_bytes: u64) -> Self {
        Self { ports, max_picture_bytes }
    }

    /// Maximum size of an image in bytes.
    pub const fn max_picture_bytes(&self) -> u64 {
        self.max_picture_bytes
    }

    /// Fetches a random image of the breed, stores it and creates a dog with it.
    pub async fn fetch(&self, breed: &Breed) -> Result<Dog, DogError> {
        let found = self.ports.source.picture(breed, self.max_picture_bytes).await?;
        let picture = found.ok_or_else(|| DogError::UnknownBreed(breed.clone()))?;
        // An invalid image from the source is not an error of the client.
        let photo = self.store_image(picture.bytes, |refused| SourceError::Unusable(refused.into()).into()).await?;
        let dog = self.dog(breed.clone(), None, picture.url, Some(photo.clone()));
        let at = dog.created_at;
        let events = [self.event(at, &DogCreated::from(&dog))?, self.event(at, &image_stored(dog.id, &photo))?];
        self.ports.repo.insert(&dog, &events, None).await?;
        Ok(dog)
    }

    /// Creates a dog. With a key, a retry of the same request returns the dog that the first one created.
    pub async fn create(&self, new: NewDog, key: Option<&IdempotencyKey>) -> Result<Created, DogError> {
        check_name(new.name.as_deref())?;
        check_url(new.image_url.as_deref())?;
        let dog = self.dog(new.breed, new.name, new.image_url, None);
        let events = [self.event(dog.created_at, &DogCreated::from(&dog))?];
        match self.ports.repo.insert(&dog, &events, key).await? {
            Inserted::New => Ok(Created { dog, replayed: false }),
            Inserted::Replayed(dog) => Ok(Created { dog: *dog, replayed: true }),
            Inserted::KeyReused => Err(DogError::KeyReused),
        }
    }

    /// The dog with this id.
    pub async fn get(&self, id: DogId) -> Result<Dog, DogError> {
        self.ports.repo.find(id).await?.ok_or(DogError::UnknownDog(id))
    }

    /// A page of dogs, of one breed or of all breeds.
    pub async fn list(
        &self,
        breed: Option<Breed>,
        after: Option<Cursor>,
        order: Order,
        size: PageSize,
    ) -> Result<Page<Dog>, DogError> {
        let after = after.map(|cursor| DogId(cursor.0));
        let dogs = self.ports.repo.list(&DogQuery { breed, after, order, limit: size.get() + 1 }).await?;
        Ok(Page::from_overfetch(dogs, size, |dog| dog.id.0))
    }

    /// Changes a dog. A patch that changes nothing does not change the revision.
    pub async fn update(&self, id: DogId, patch: &DogPatch, expected: &Expected) -> Result<Dog, DogError> {
        check_name(patch.name.as_ref().and_then(Option::as_deref))?;
        check_url(patch.image_url.as_ref().and_then(Option::as_deref))?;
        self.change(id, expected, |dog| {
            let before = dog.clone();
            dog.breed = patch.breed.clone().unwrap_or_else(|| dog.breed.clone());
            dog.name = patch.name.clone().unwrap_or_else(|| dog.name.take());
            dog.image_url = patch.image_url.clone().unwrap_or_else(|| dog.image_url.take());
            *dog != before
        })
        .await
    }

    /// Stores `picture` as the dog's image.
    pub async fn put_photo(&self, id: DogId, picture: Bytes, expected: &Expected) -> Result<Dog, DogError> {
        let dog = self.get(id).await?;
        if !expected.allows(dog.revision) {
            return Err(DogError::Stale(id));
        }
        let photo = self.store_image(picture, |refused| DogError::invalid("photo", refused.reason)).await?;
        self.change(id, expected, |dog| {
            let same = dog.photo.as_ref().is_some_and(|old| old.key == photo.key);
            if !same {
                dog.photo = Some(photo.clone());
            }
            !same
        })
        .await
    }

    /// Deletes a dog. Its image stays: its key is derived from its content, so another dog can have the same image.
    pub async fn delete(&self, id: DogId, expected: &Expected) -> Result<(), DogError> {
        for _ in 0..UPDATE_TRIES {
            let dog = self.get(id).await?;
            if !expected.allows(dog.revision) {
                return Err(DogError::Stale(id));
            }
            let events = [self.event(self.ports.clock.now(), &DogDeleted { id, breed: dog.breed })?];
            if self.ports.repo.delete(id, dog.revision, &events).await? {
                return Ok(());
            }
        }
        Err(DogError::Stale(id))
    }

    /// The dog's image, or the `range` of it in bytes.
    pub async fn photo(
        &self,
        id: DogId,
        variant: Variant,
        range: Option<Range<u64>>,
    ) -> Result<(ObjectMeta, ByteStream), DogError> {
        let key = self.photo_key(id, variant).await?;
        self.ports.objects.get(&key, range).await?.ok_or(DogError::NoPhoto(id))
    }

    /// The key of the dog's image in the object store.
    pub async fn photo_key(&self, id: DogId, variant: Variant) -> Result<ObjectKey, DogError> {
        let photo = self.get(id).await?.photo.ok_or(DogError::NoPhoto(id))?;
        match variant {
            Variant::Original => Ok(photo.key),
            Variant::Thumbnail => photo.thumbnail.ok_or(DogError::NoPhoto(id)),
        }
    }

    /// Stores `jpeg` as the thumbnail of the image `photo`, at most once per receipt.
    pub async fn put_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        jpeg: Bytes,
        receipt: &Receipt,
    ) -> Result<ThumbnailSet, DogError> {
        let thumbnail = self.store("thumbnails", jpeg, "image/jpeg").await?.key;
        let stored = ThumbnailStored { id, key: photo.clone(), thumbnail: thumbnail.clone() };
        let events = [self.event(receipt.at, &stored)?];
        Ok(self.ports.repo.set_thumbnail(id, photo, &thumbnail, receipt, &events).await?)
    }

    /// Every breed of the source or the store, sorted by name, with the number of its dogs.
    ///
    /// When the source fails, only the breeds that have dogs are returned.
    pub async fn breeds(&self) -> Result<Vec<BreedCount>, DogError> {
        let (counts, known) = join(self.ports.repo.count_by_breed(), self.ports.source.breeds()).await;
        let known = known.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "source of dogs failed; listing only the breeds of the store"
            );
            Vec::new()
        });
        let mut breeds: std::collections::BTreeMap<_, _> = known.into_iter().map(|breed| (breed, 0)).collect();
        breeds.extend(counts?.into_iter().map(|count| (count.breed, count.dogs)));
        Ok(breeds.into_iter().map(|(breed, dogs)| BreedCount { breed, dogs }).collect())
    }

    /// Applies `change` to the current dog, and retries on a concurrent change. `change` returns whether it changed
    /// anything.
    async fn change(&self, id: DogId, expected: &Expected, change: impl Fn(&mut Dog) -> bool) -> Result<Dog, DogError> {
        for _ in 0..UPDATE_TRIES {
            let mut dog = self.get(id).await?;
            let (revision, old_photo) = (dog.revision, dog.photo.clone());
            if !expected.allows(revision) {
                return Err(DogError::Stale(id));
            }
            if !change(&mut dog) {
                return Ok(dog);
            }
            dog.revision = revision.next();
            dog.updated_at = self.ports.clock.now();
            let mut events = vec![self.event(dog.updated_at, &DogUpdated::from(&dog))?];
            if let Some(photo) = dog.photo.as_ref().filter(|_| dog.photo != old_photo) {
                events.push(self.event(dog.updated_at, &image_stored(id, photo))?);
            }
            if self.ports.repo.update(&dog, revision, &events).await? {
                return Ok(dog);
            }
        }
        Err(DogError::Stale(id))
    }

    fn dog(&self, breed: Breed, name: Option<String>, image_url: Option<String>, photo: Option<Photo>) -> Dog {
        let now = self.ports.clock.now();
        let id = DogId(self.ports.ids.next());
        Dog { id, breed, name, image_url, photo, revision: Revision::FIRST, created_at: now, updated_at: now }
    }

    pub(crate) fn event<E: EventType>(&self, at: Timestamp, data: &E) -> Result<Event, CodecError> {
        let mut event = Event::new(self.ports.ids.next(), events::SOURCE, at, data)?;
        event.trace = (self.ports.trace)();
        Ok(event)
    }

    async fn store_image(
        &self,
        picture: Bytes,
        refused: impl FnOnce(PictureRefused) -> DogError,
    ) -> Result<Photo, DogError> {
        if picture.len() as u64 > self.max_picture_bytes {
            return Err(DogError::PictureTooLarge { limit: self.max_picture_bytes });
        }
        let content_type = sniff(&picture).ok_or(DogError::NotAPicture)?;
        self.ports.pictures.check(picture.clone()).await.map_err(refused)?;
        let meta = self.store("photos", picture, content_type).await?;
        Ok(Photo { key: meta.key, content_type: content_type.to_owned(), size: meta.size, thumbnail: None })
    }

    async fn store(&self, prefix: &str, content: Bytes, content_type: &str) -> Result<ObjectMeta, DogError> {
        let suffix = match content_type {
            "image/jpeg" => ".jpg",
            "image/png" => ".png",
            "image/gif" => ".gif",
            _ => ".webp",
        };
        let key =
            ObjectKey::content_addressed(prefix, &content, suffix).expect("prefixes and suffixes here are valid keys");
        let options = PutOptions {
            content_type: Some(content_type.to_owned()),
            max_bytes: content.len() as u64,
            skip_existing: true,
        };
        let body = stream::once(async move { Ok(content) }).boxed();
        Ok(self.ports.objects.put(&key, body, &options).await?)
    }
}

fn image_stored(id: DogId, photo: &Photo) -> ImageStored {
    ImageStored { id, key: photo.key.clone(), content_type: photo.content_type.clone(), size: photo.size }
}
