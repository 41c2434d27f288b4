//! The domain's check of pictures, by decoding them.

use async_trait::async_trait;
use bytes::Bytes;
use dogs_domain::ports::{PictureCheck, PictureRefused};
use kennel_images::ImageProcessor;

/// Accepts the pictures that the processor can decode.
#[derive(Debug, Clone)]
pub struct DecodedPictureCheck(pub ImageProcessor);

#[async_trait]
impl PictureCheck for DecodedPictureCheck {
    async fn check(&self, picture: Bytes) -> Result<(), PictureRefused> {
        let decoded = self.0.verify(picture).await;
        decoded.map_err(|error| PictureRefused { reason: error.to_string(), source: error.into() })
    }
}
