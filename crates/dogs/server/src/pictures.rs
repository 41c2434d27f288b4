//! Pictures from outside: what they are, and small copies of them. Nothing a file says is believed before it is bounded.

mod gate;
mod jpeg;
mod memory;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use kennel_core::BoxError;
use kennel_core::objects::sniff;

pub use gate::Pictures;

/// The most pixels a picture may have, however little memory it takes.
pub const MAX_PIXELS: u64 = 32_000_000;
/// The longest side a picture may have.
pub const MAX_SIDE: u32 = 16_384;
/// The longest side of a small copy.
pub const THUMBNAIL_SIDE: u32 = 320;

const QUALITY: u8 = 82;

/// What a picture's head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// `image/jpeg`, `image/png`, `image/gif` or `image/webp`.
    pub content_type: &'static str,
    /// In pixels, as stored: before any turn that the file asks for.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// The most bytes of memory that decoding it takes.
    pub memory: u64,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The first bytes are not those of a format taken here.
    #[error("not a JPEG, PNG, GIF or WebP file")]
    NotAPicture,
    /// It has more pixels than the limits.
    #[error("picture has more pixels than allowed: at most {} megapixels, and {MAX_SIDE} to a side", MAX_PIXELS / 1_000_000)]
    TooManyPixels,
    /// It takes more memory to decode than there is for it.
    #[error("picture takes too much memory to decode: {} MiB, of which there are {}", needed >> 20, limit >> 20)]
    TooMuchMemory {
        /// What it takes, in bytes.
        needed: u64,
        /// What there is.
        limit: u64,
    },
    /// It starts like a picture and does not go on like one.
    #[error("picture is damaged")]
    Damaged(#[source] ImageError),
    /// The file breaks off before the picture ends.
    #[error("picture is damaged: the file breaks off")]
    CutShort,
    /// The decoder gave up in the middle.
    #[error("picture cannot be decoded")]
    Decoder(#[source] BoxError),
}

/// Reads a picture's head, and refuses it when decoding takes more than `memory`. Says nothing about the rest of it.
pub fn inspect(bytes: &[u8], memory: u64) -> Result<Info, PictureError> {
    let (content_type, format) = format(bytes)?;
    let decoder = open(bytes, format, memory)?;
    let (width, height) = decoder.dimensions();
    Ok(Info { content_type, width, height, memory: memory::needed(bytes, format, &decoder) })
}

/// Makes a small JPEG copy: [`THUMBNAIL_SIDE`] at its longest side or the size it has, upright, on white, without
/// anything that the file tells beside its picture. Takes up to [`MAX_PIXELS`] of work: not for an async thread.
pub fn thumbnail(bytes: &[u8], memory: u64) -> Result<Vec<u8>, PictureError> {
    let (picture, turn) = decode(bytes, memory)?;
    let picture = on_white(picture);
    let mut small = if picture.width().max(picture.height()) > THUMBNAIL_SIDE {
        picture.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    } else {
        picture
    };
    small.apply_orientation(turn);
    encode(&small.into_rgb8())
}

/// Decodes the whole picture, as [`thumbnail`] does, and refuses a JPEG that breaks off as well: the decoder makes the rest
/// of it gray.
fn verify(bytes: &[u8], memory: u64) -> Result<(), PictureError> {
    if format(bytes)?.1 == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(PictureError::CutShort);
    }
    decode(bytes, memory).map(drop)
}

/// Decodes the whole picture. What this takes, [`thumbnail`] makes a small copy of.
fn decode(bytes: &[u8], memory: u64) -> Result<(DynamicImage, Orientation), PictureError> {
    let (_, format) = format(bytes)?;
    let mut decoder = open(bytes, format, memory)?;
    // A picture whose turn cannot be read is still a picture.
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(sort)?, turn))
}

fn encode(picture: &RgbImage) -> Result<Vec<u8>, PictureError> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(picture).map_err(PictureError::Damaged)?;
    Ok(file)
}

fn format(bytes: &[u8]) -> Result<(&'static str, ImageFormat), PictureError> {
    let content_type = sniff(bytes).ok_or(PictureError::NotAPicture)?;
    let format = ImageFormat::from_mime_type(content_type).ok_or(PictureError::NotAPicture)?;
    Ok((content_type, format))
}

/// A decoder that has read the head and found it within the limits.
fn open(bytes: &[u8], format: ImageFormat, memory: u64) -> Result<impl ImageDecoder, PictureError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(memory);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(sort)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(PictureError::TooManyPixels);
    }
    let needed = memory::needed(bytes, format, &decoder);
    if needed > memory {
        return Err(PictureError::TooMuchMemory { needed, limit: memory });
    }
    Ok(decoder)
}

fn sort(error: ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooManyPixels,
        error => PictureError::Damaged(error),
    }
}

/// The picture without transparency.
fn on_white(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let mut picture = picture.into_rgba8();
    for pixel in picture.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let over = |channel: u8| {
            let sum = u16::from(channel) * u16::from(alpha) + 255 * (255 - u16::from(alpha));
            u8::try_from(sum / 255).unwrap_or(u8::MAX)
        };
        pixel.0 = [over(red), over(green), over(blue), 255];
    }
    DynamicImage::ImageRgba8(picture)
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

    fn write(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn read(bytes: &[u8]) -> RgbImage {
        image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap().into_rgb8()
    }

    /// A JPEG file whose EXIF block asks for the turn and holds a text.
    fn turned(picture: &RgbImage, turn: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([turn, 0, 0, 0, 0, 0, 0, 0]);
        exif.extend(b"somewhere private");
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
        file
    }

    /// A PNG head of the size, and nothing behind it.
    fn png_head(width: u32, height: u32) -> Vec<u8> {
        let mut file = write(&RgbImage::new(1, 1).into(), ImageFormat::Png);
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc(&file[12..29]);
        file[29..33].copy_from_slice(&sum.to_be_bytes());
        file
    }

    /// CRC-32 as of PNG.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 })
        })
    }

    #[test]
    fn tells_what_each_format_is() {
        let picture = DynamicImage::from(halves(40, 30));
        for (format, content_type) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Gif, "image/gif"),
            (ImageFormat::WebP, "image/webp"),
        ] {
            let file = write(&picture, format);
            let info = inspect(&file, MEMORY).unwrap();
            assert_eq!((info.content_type, info.width, info.height), (content_type, 40, 30));
            assert_eq!(read(&thumbnail(&file, MEMORY).unwrap()).dimensions(), (40, 30), "{content_type}");
        }
    }

    #[test]
    fn small_copies_keep_the_shape_and_never_grow() {
        for (from, to) in [((800, 600), (320, 240)), ((100, 1000), (32, 320)), ((2000, 2), (320, 1)), ((7, 5), (7, 5))]
        {
            let file = write(&halves(from.0, from.1).into(), ImageFormat::Png);
            assert_eq!(read(&thumbnail(&file, MEMORY).unwrap()).dimensions(), to, "{from:?}");
        }
    }

    #[test]
    fn small_copies_stand_upright_and_tell_nothing() {
        // Turned by 90 degrees, what was left is on top.
        let file = turned(&halves(640, 320), 6);
        let small = thumbnail(&file, MEMORY).unwrap();
        let picture = read(&small);
        assert_eq!(picture.dimensions(), (160, 320));
        assert!(picture.get_pixel(80, 20).0[0] > 150, "red on top");
        assert!(picture.get_pixel(80, 300).0[2] > 150, "blue below");
        let holds = |bytes: &[u8]| bytes.windows(17).any(|window| window == b"somewhere private");
        assert!(holds(&file) && !holds(&small));
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = RgbaImage::from_pixel(50, 50, Rgba([0, 0, 0, 0]));
        let small = read(&thumbnail(&write(&clear.into(), ImageFormat::Png), MEMORY).unwrap());
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)));
    }

    #[test]
    fn refuses_what_is_no_picture() {
        for bytes in [&b""[..], b"<script>alert(1)</script>", b"BM6\0\0\0"] {
            assert!(matches!(inspect(bytes, MEMORY), Err(PictureError::NotAPicture)));
            assert!(matches!(thumbnail(bytes, MEMORY), Err(PictureError::NotAPicture)));
        }
    }

    #[test]
    fn refuses_bombs_by_their_head() {
        for (width, height) in [(50_000, 50_000), (20_000, 1), (8_000, 8_000)] {
            let file = png_head(width, height);
            assert!(matches!(inspect(&file, MEMORY), Err(PictureError::TooManyPixels)), "{width}x{height}");
            assert!(matches!(thumbnail(&file, MEMORY), Err(PictureError::TooManyPixels)), "{width}x{height}");
        }
        assert!(inspect(&png_head(8_000, 4_000), MEMORY).is_ok());
    }

    #[test]
    fn verifying_takes_whole_files_alone() {
        let picture = DynamicImage::from(halves(240, 160));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let file = write(&picture, format);
            verify(&file, MEMORY).unwrap();
            for part in [10, 25, 50, 75, 95] {
                assert!(verify(&file[..file.len() * part / 100], MEMORY).is_err(), "{part} % of a {format:?}");
            }
        }
        assert!(matches!(verify(&write(&picture, ImageFormat::Png), 1 << 16), Err(PictureError::TooMuchMemory { .. })));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let picture = DynamicImage::from(halves(24, 16));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let file = write(&picture, format);
            let head = &file[..14.min(file.len())];
            assert!(matches!(inspect(head, MEMORY), Err(PictureError::Damaged(_))), "{format:?}");
            for at in (0..file.len()).step_by(2) {
                let mut broken = file.clone();
                broken[at] ^= 0xFF;
                let _any_result = thumbnail(&broken, MEMORY);
                let _any_result = thumbnail(&file[..at], MEMORY);
            }
        }
    }
}
