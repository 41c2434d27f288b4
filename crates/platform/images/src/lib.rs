//! Validates untrusted images, and creates thumbnails of them.
//!
//! Every size in a header is checked against limits before it is used.

mod config;
pub mod gif;
mod jpeg;
mod memory;
mod processor;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use kennel_core::BoxError;
use kennel_core::objects::sniff;

pub use config::ImageConfig;
pub use processor::ImageProcessor;

/// The maximum number of pixels of an image, regardless of the memory that it takes.
pub const MAX_PIXELS: u64 = 32_000_000;
/// The maximum width and height of an image, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The maximum width and height of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 320;

/// The JPEG quality of thumbnails.
const QUALITY: u8 = 82;

/// The content of an image header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// `image/jpeg`, `image/png`, `image/gif` or `image/webp`.
    pub content_type: &'static str,
    /// In pixels, as stored: before the orientation is applied.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// The peak memory of decoding, in bytes.
    pub memory: u64,
}

/// Why an image cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The first bytes are not those of a supported format.
    #[error("not a JPEG, PNG, GIF or WebP file")]
    UnknownFormat,
    /// It has more pixels than the limits.
    #[error("image has more pixels than allowed: at most {} megapixels, and {MAX_SIDE} to a side", MAX_PIXELS / 1_000_000)]
    TooManyPixels,
    /// Decoding needs more memory than the limit.
    #[error("image needs too much memory to decode: {} MiB, the limit is {} MiB", needed >> 20, limit >> 20)]
    TooMuchMemory {
        /// The memory that decoding needs, in bytes.
        needed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The header is valid, the rest is not.
    #[error("image is damaged")]
    Damaged(#[source] ImageError),
    /// The file ends before the image does.
    #[error("image is damaged: the file is truncated")]
    Truncated,
    /// The decoder panicked.
    #[error("image cannot be decoded")]
    Decoder(#[source] BoxError),
}

/// Reads the header of an image, and rejects it when decoding needs more than `memory` bytes. Does not check the rest.
pub fn inspect(bytes: &[u8], memory: u64) -> Result<ImageInfo, DecodeError> {
    let (content_type, format) = format(bytes)?;
    let decoder = open(bytes, format, memory)?;
    let (width, height) = decoder.dimensions();
    Ok(ImageInfo { content_type, width, height, memory: memory::needed(bytes, format, &decoder) })
}

/// Creates a JPEG thumbnail: at most [`THUMBNAIL_SIDE`] wide and high, never enlarged, upright, on white, without metadata.
/// Takes time for up to [`MAX_PIXELS`] pixels, so call it on a blocking thread.
pub fn thumbnail(bytes: &[u8], memory: u64) -> Result<Vec<u8>, DecodeError> {
    let (image, orientation) = decode(bytes, memory)?;
    let image = on_white(image);
    let mut small = if image.width().max(image.height()) > THUMBNAIL_SIDE {
        image.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    } else {
        image
    };
    small.apply_orientation(orientation);
    encode(&small.into_rgb8())
}

/// Decodes the complete image, as [`thumbnail`] does. Also rejects a truncated JPEG, whose missing rest the decoder
/// replaces with gray.
fn verify(bytes: &[u8], memory: u64) -> Result<(), DecodeError> {
    if format(bytes)?.1 == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(DecodeError::Truncated);
    }
    decode(bytes, memory).map(drop)
}

/// Decodes the complete image. [`thumbnail`] succeeds for every image that this decodes.
fn decode(bytes: &[u8], memory: u64) -> Result<(DynamicImage, Orientation), DecodeError> {
    let (_, format) = format(bytes)?;
    let mut decoder = open(bytes, format, memory)?;
    // An unreadable orientation does not invalidate the image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(classify)?, orientation))
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, DecodeError> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(image).map_err(DecodeError::Damaged)?;
    Ok(file)
}

fn format(bytes: &[u8]) -> Result<(&'static str, ImageFormat), DecodeError> {
    let content_type = sniff(bytes).ok_or(DecodeError::UnknownFormat)?;
    let format = ImageFormat::from_mime_type(content_type).ok_or(DecodeError::UnknownFormat)?;
    Ok((content_type, format))
}

/// A decoder that has read the head and found it within the limits.
fn open(bytes: &[u8], format: ImageFormat, memory: u64) -> Result<impl ImageDecoder, DecodeError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(memory);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(classify)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(DecodeError::TooManyPixels);
    }
    let needed = memory::needed(bytes, format, &decoder);
    if needed > memory {
        return Err(DecodeError::TooMuchMemory { needed, limit: memory });
    }
    Ok(decoder)
}

fn classify(error: ImageError) -> DecodeError {
    match error {
        ImageError::Limits(_) => DecodeError::TooManyPixels,
        error => DecodeError::Damaged(error),
    }
}

/// The image, blended with white if it has transparency.
fn on_white(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let mut image = image.into_rgba8();
    for pixel in image.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let over = |channel: u8| {
            let sum = u16::from(channel) * u16::from(alpha) + 255 * (255 - u16::from(alpha));
            u8::try_from(sum / 255).unwrap_or(u8::MAX)
        };
        pixel.0 = [over(red), over(green), over(blue), 255];
    }
    DynamicImage::ImageRgba8(image)
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, Rgb, Rgba, RgbaImage};

    use super::*;

    const MEMORY: u64 = 256 << 20;

    /// Red on the left, blue on the right.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) })
    }

    fn write(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn read(bytes: &[u8]) -> RgbImage {
        image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap().into_rgb8()
    }

    /// A JPEG file whose EXIF block has the orientation and a text.
    fn rotated(image: &RgbImage, orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        exif.extend(b"somewhere private");
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
        file
    }

    /// A PNG header of the size, without data.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut file = write(&RgbImage::new(1, 1).into(), ImageFormat::Png);
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc(&file[12..29]);
        file[29..33].copy_from_slice(&sum.to_be_bytes());
        file
    }

    /// CRC-32 as in PNG.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 })
        })
    }

    #[test]
    fn detects_each_format() {
        let image = DynamicImage::from(halves(40, 30));
        for (format, content_type) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Gif, "image/gif"),
            (ImageFormat::WebP, "image/webp"),
        ] {
            let file = write(&image, format);
            let info = inspect(&file, MEMORY).unwrap();
            assert_eq!((info.content_type, info.width, info.height), (content_type, 40, 30));
            assert_eq!(read(&thumbnail(&file, MEMORY).unwrap()).dimensions(), (40, 30), "{content_type}");
        }
    }

    #[test]
    fn thumbnails_retain_the_aspect_ratio_and_are_never_enlarged() {
        for (from, to) in [((800, 600), (320, 240)), ((100, 1000), (32, 320)), ((2000, 2), (320, 1)), ((7, 5), (7, 5))]
        {
            let file = write(&halves(from.0, from.1).into(), ImageFormat::Png);
            assert_eq!(read(&thumbnail(&file, MEMORY).unwrap()).dimensions(), to, "{from:?}");
        }
    }

    #[test]
    fn thumbnails_are_upright_and_without_metadata() {
        // Rotated by 90 degrees, the left side is on top.
        let file = rotated(&halves(640, 320), 6);
        let small = thumbnail(&file, MEMORY).unwrap();
        let image = read(&small);
        assert_eq!(image.dimensions(), (160, 320));
        assert!(image.get_pixel(80, 20).0[0] > 150, "red on top");
        assert!(image.get_pixel(80, 300).0[2] > 150, "blue below");
        let has_text = |bytes: &[u8]| bytes.windows(17).any(|window| window == b"somewhere private");
        assert!(has_text(&file) && !has_text(&small));
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = RgbaImage::from_pixel(50, 50, Rgba([0, 0, 0, 0]));
        let small = read(&thumbnail(&write(&clear.into(), ImageFormat::Png), MEMORY).unwrap());
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)));
    }

    #[test]
    fn rejects_files_that_are_not_images() {
        for bytes in [&b""[..], b"<script>alert(1)</script>", b"BM6\0\0\0"] {
            assert!(matches!(inspect(bytes, MEMORY), Err(DecodeError::UnknownFormat)));
            assert!(matches!(thumbnail(bytes, MEMORY), Err(DecodeError::UnknownFormat)));
        }
    }

    #[test]
    fn rejects_decompression_bombs_by_their_header() {
        for (width, height) in [(50_000, 50_000), (20_000, 1), (8_000, 8_000)] {
            let file = png_header(width, height);
            assert!(matches!(inspect(&file, MEMORY), Err(DecodeError::TooManyPixels)), "{width}x{height}");
            assert!(matches!(thumbnail(&file, MEMORY), Err(DecodeError::TooManyPixels)), "{width}x{height}");
        }
        assert!(inspect(&png_header(8_000, 4_000), MEMORY).is_ok());
    }

    #[test]
    fn verification_rejects_truncated_files() {
        let image = DynamicImage::from(halves(240, 160));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let file = write(&image, format);
            verify(&file, MEMORY).unwrap();
            for percent in [10, 25, 50, 75, 95] {
                let truncated = &file[..file.len() * percent / 100];
                assert!(verify(truncated, MEMORY).is_err(), "{percent} % of a {format:?}");
            }
        }
        assert!(matches!(verify(&write(&image, ImageFormat::Png), 1 << 16), Err(DecodeError::TooMuchMemory { .. })));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let image = DynamicImage::from(halves(24, 16));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let file = write(&image, format);
            let head = &file[..14.min(file.len())];
            assert!(matches!(inspect(head, MEMORY), Err(DecodeError::Damaged(_))), "{format:?}");
            for at in (0..file.len()).step_by(2) {
                let mut broken = file.clone();
                broken[at] ^= 0xFF;
                let _any_result = thumbnail(&broken, MEMORY);
                let _any_result = thumbnail(&file[..at], MEMORY);
            }
        }
    }
}
