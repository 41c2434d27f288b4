//! Creates a thumbnail of each stored image.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use dogs_domain::events::ImageStored;
use dogs_domain::{DogError, DogService};
use futures_util::TryStreamExt as _;
use kennel_core::objects::ObjectStore;
use kennel_core::{Event, EventFilter, EventType as _, ObjectKey, Receipt, ServiceError as _};
use kennel_images::{DecodeError, ImageProcessor};
use kennel_outbox::{Handled, Handler, HandlerError};
use std::sync::Arc;

/// Handles [`ImageStored`]: reads the image, creates the thumbnail and records it together with the receipt.
pub struct Thumbnailer {
    service: DogService,
    objects: Arc<dyn ObjectStore>,
    images: ImageProcessor,
}

impl Thumbnailer {
    /// The consumer group, and the name of its component. Its members share the images.
    pub const GROUP: &str = "dogs.thumbnailer";

    /// A handler that reads images from `objects`.
    pub const fn new(service: DogService, objects: Arc<dyn ObjectStore>, images: ImageProcessor) -> Self {
        Self { service, objects, images }
    }

    async fn read(&self, key: &ObjectKey) -> Result<Bytes, HandlerError> {
        let retry = |error| HandlerError::Retry(Box::new(error));
        let found = self.objects.get(key, None).await.map_err(retry)?;
        let Some((meta, mut body)) = found else {
            return Err(HandlerError::Permanent(format!("image {key} is not in the object store").into()));
        };
        let limit = self.service.max_picture_bytes();
        if meta.size > limit {
            return Err(HandlerError::Permanent(format!("image is larger than {limit} bytes").into()));
        }
        let mut image = BytesMut::new();
        while let Some(chunk) = body.try_next().await.map_err(retry)? {
            image.extend_from_slice(&chunk);
        }
        Ok(image.freeze())
    }
}

#[async_trait]
impl Handler for Thumbnailer {
    fn filter(&self) -> EventFilter {
        EventFilter::names([ImageStored::NAME])
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<ImageStored>().map_err(|error| HandlerError::Permanent(error.into()))?;
        let Some(stored) = decoded else { return Ok(Handled::Done) };
        let image = self.read(&stored.key).await?;
        let created = self.images.thumbnail(image).await;
        let thumbnail = created.map_err(|error: DecodeError| HandlerError::Permanent(error.into()))?;
        self.service.put_thumbnail(stored.id, &stored.key, thumbnail.into(), receipt).await.map_err(classify)?;
        Ok(Handled::Recorded)
    }
}

fn classify(error: DogError) -> HandlerError {
    if error.kind().is_client() { HandlerError::Permanent(error.into()) } else { HandlerError::Retry(error.into()) }
}
