//! Makes the small copy of each picture that is stored.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use dogs_domain::events::ImageStored;
use dogs_domain::{DogError, DogService};
use futures_util::TryStreamExt as _;
use kennel_core::objects::ObjectStore;
use kennel_core::{Event, EventType as _, ObjectKey, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};
use std::sync::Arc;

use crate::pictures::{PictureError, Pictures};

/// Handles [`ImageStored`]: reads the picture, makes the small copy and records it together with the receipt.
pub struct Thumbnailer {
    service: DogService,
    objects: Arc<dyn ObjectStore>,
    pictures: Pictures,
}

impl Thumbnailer {
    /// The consumer group whose members share the pictures.
    pub const GROUP: &str = "dogs.thumbnailer";

    /// One that reads pictures from `objects`.
    pub const fn new(service: DogService, objects: Arc<dyn ObjectStore>, pictures: Pictures) -> Self {
        Self { service, objects, pictures }
    }

    async fn read(&self, key: &ObjectKey) -> Result<Bytes, HandlerError> {
        let retry = |error| HandlerError::Retry(Box::new(error));
        let found = self.objects.get(key, None).await.map_err(retry)?;
        let Some((meta, mut body)) = found else {
            return Err(HandlerError::Permanent(format!("picture {key} is not in the object store").into()));
        };
        let limit = self.service.max_picture_bytes();
        if meta.size > limit {
            return Err(HandlerError::Permanent(format!("picture is larger than {limit} bytes").into()));
        }
        let mut picture = BytesMut::new();
        while let Some(chunk) = body.try_next().await.map_err(retry)? {
            picture.extend_from_slice(&chunk);
        }
        Ok(picture.freeze())
    }
}

#[async_trait]
impl Handler for Thumbnailer {
    fn accepts(&self, event: &Event) -> bool {
        event.name == ImageStored::NAME
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<ImageStored>().map_err(|error| HandlerError::Permanent(error.into()))?;
        let Some(stored) = decoded else { return Ok(Handled::Done) };
        let picture = self.read(&stored.key).await?;
        let made = self.pictures.thumbnail(picture).await;
        let small = made.map_err(|error: PictureError| HandlerError::Permanent(error.into()))?;
        self.service.put_thumbnail(stored.id, &stored.key, small.into(), receipt).await.map_err(classify)?;
        Ok(Handled::Recorded)
    }
}

fn classify(error: DogError) -> HandlerError {
    if error.kind().is_client() { HandlerError::Permanent(error.into()) } else { HandlerError::Retry(error.into()) }
}
