//! Real images for tests, determined by a seed.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// A JPEG file of 160 by 120 pixels.
pub fn jpeg(seed: &str) -> Vec<u8> {
    encode(&draw(seed), ImageFormat::Jpeg)
}

/// A PNG file of 160 by 120 pixels.
pub fn png(seed: &str) -> Vec<u8> {
    encode(&draw(seed), ImageFormat::Png)
}

fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).expect("encoding into memory cannot fail");
    file.into_inner()
}

/// A disc on a colour gradient, both determined by the seed.
fn draw(seed: &str) -> RgbImage {
    let [red, green, blue, radius, ..] = hash(seed).to_le_bytes();
    let radius = 15 + u32::from(radius) % 40;
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (dx, dy) = (x.abs_diff(WIDTH / 2), y.abs_diff(HEIGHT / 2));
        if dx * dx + dy * dy <= radius * radius {
            return Rgb([red, green, blue]);
        }
        let shade = u8::try_from(255 - y).unwrap_or(u8::MAX);
        Rgb([shade, shade.wrapping_sub(red / 4), shade.wrapping_sub(blue / 4)])
    })
}

/// FNV-1a, which returns the same hash on every machine.
fn hash(seed: &str) -> u64 {
    seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
