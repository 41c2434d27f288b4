//! Estimates the memory that decoding an image takes, from its header.

use image::{ColorType, ImageDecoder, ImageFormat};

use crate::jpeg;

/// The memory that decoding takes regardless of the image size: tables, lines, the thumbnail and its file.
const FIXED: u64 = 2 << 20;

/// The peak memory of decoding, in bytes, without the file itself. Measured on real images; a test verifies it for each
/// format.
pub(super) fn needed(bytes: &[u8], format: ImageFormat, decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let image = decoder.total_bytes();
    let inside = match format {
        // The coefficients of up to four components, 16 bits each, until the last scan is read.
        ImageFormat::Jpeg if jpeg::is_progressive(bytes) => pixels * 8,
        // The frame, before it is drawn on the screen.
        ImageFormat::Gif => pixels * 4,
        ImageFormat::WebP => pixels * inside_webp(bytes),
        _ => 0,
    };
    // An alpha channel of another depth than eight bits is converted before it is blended with white.
    let converted = match decoder.color_type() {
        ColorType::Rgba8 => 0,
        color if color.has_alpha() => pixels * 4,
        _ => 0,
    };
    (image + inside.max(converted)).saturating_add(FIXED)
}

/// Bytes per pixel, by the kind of a WebP file.
fn inside_webp(bytes: &[u8]) -> u64 {
    const ALPHA_OR_ANIMATION: u8 = 0x12;
    match (bytes.get(12..16), bytes.get(20)) {
        // Luma, and two chroma planes of a quarter of the size each.
        (Some(b"VP8 "), _) => 2,
        // A complete copy before it is returned.
        (Some(b"VP8L"), _) => 5,
        (Some(b"VP8X"), Some(flags)) if flags & ALPHA_OR_ANIMATION == 0 => 5,
        // A separate alpha plane, or the frame before it is drawn on the canvas.
        _ => 8,
    }
}
