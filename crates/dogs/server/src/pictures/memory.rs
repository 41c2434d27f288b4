//! How much memory decoding a picture takes, by its head.

use image::{ColorType, ImageDecoder, ImageFormat};

use super::jpeg;

/// What decoding takes whatever the size of the picture: tables, lines, the small copy and its file.
const FIXED: u64 = 2 << 20;

/// The most memory that decoding takes at a time, in bytes, without the file itself. Measured on real pictures; a test
/// holds each format to it.
pub(super) fn needed(bytes: &[u8], format: ImageFormat, decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let image = decoder.total_bytes();
    let inside = match format {
        // All coefficients of up to four components, as 16 bits each, until the last scan is read.
        ImageFormat::Jpeg if jpeg::is_progressive(bytes) => pixels * 8,
        // The frame, before it is put on the screen.
        ImageFormat::Gif => pixels * 4,
        ImageFormat::WebP => pixels * inside_webp(bytes),
        _ => 0,
    };
    // Transparency of another depth than eight bits is converted before it is laid on white.
    let converted = match decoder.color_type() {
        ColorType::Rgba8 => 0,
        color if color.has_alpha() => pixels * 4,
        _ => 0,
    };
    (image + inside.max(converted)).saturating_add(FIXED)
}

/// Bytes for a pixel, by the kind of a WebP file.
fn inside_webp(bytes: &[u8]) -> u64 {
    const ALPHA_OR_ANIMATION: u8 = 0x12;
    match (bytes.get(12..16), bytes.get(20)) {
        // Brightness, and colours of a quarter of the size each.
        (Some(b"VP8 "), _) => 2,
        // Everything once more before it is handed out.
        (Some(b"VP8L"), _) => 5,
        (Some(b"VP8X"), Some(flags)) if flags & ALPHA_OR_ANIMATION == 0 => 5,
        // Transparency apart, or the frame before it is put on the canvas.
        _ => 8,
    }
}
