//! The measured memory of decoding, in a separate process, does not exceed the estimate that limits it.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, Rgb, RgbImage};
use kennel_images::{ImageInfo, inspect, thumbnail};

/// The environment variable with the file to decode, for the started process.
const FILE: &str = "TEST_IMAGE_FILE";
const MEMORY: u64 = 64 << 20;
/// The memory that any work takes: the stack of a thread, and pages of the binary on first use.
const SLACK: u64 = 3 << 20;

/// The peak memory of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "the process that the other tests start"]
fn process() {
    let file = std::fs::read(std::env::var_os(FILE).expect("it is started by a test")).unwrap();
    let before = peak();
    assert!(!thumbnail(&file, MEMORY).unwrap().is_empty());
    println!("peak {}", peak() - before);
}

/// The memory that decoding the file takes.
fn measure(file: &Path) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FILE, file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("peak "));
    line.unwrap_or_else(|| panic!("{text}")).1.parse().unwrap()
}

/// A gradient with noise, so that no format compresses it to a few bytes.
fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).to_be_bytes()[0] / 8;
        Rgb([(x / 16).to_be_bytes()[3] | grain, (y / 16).to_be_bytes()[3], grain])
    })
}

fn write(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn check(name: &str, file: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    std::fs::write(&path, file).unwrap();
    let ImageInfo { memory, width, height, .. } = inspect(file, MEMORY).unwrap();
    let measured = measure(&path);
    println!("{name} {width} x {height}: {} of {} KiB", measured >> 10, memory >> 10);
    assert!(measured <= memory + SLACK, "{name}: {measured} bytes measured, {memory} estimated");
    assert!(measured * 4 > memory, "{name}: the estimate {memory} is far above the measured {measured} bytes");
}

#[test]
fn a_jpeg_does_not_exceed_the_estimate() {
    let image = image(3_000, 2_000);
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 85)
        .write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .unwrap();
    check("jpeg", &file);
}

#[test]
fn a_png_does_not_exceed_the_estimate() {
    let image = DynamicImage::from(image(2_000, 1_500));
    for (name, image) in [
        ("png rgb8", image.clone()),
        ("png rgba8", image.to_rgba8().into()),
        ("png rgba16", image.to_rgba16().into()),
        ("png la8", image.to_luma_alpha8().into()),
    ] {
        check(name, &write(&image, ImageFormat::Png));
    }
}

#[test]
fn a_webp_does_not_exceed_the_estimate() {
    let image = DynamicImage::from(image(2_000, 1_500));
    check("webp rgb8", &write(&image, ImageFormat::WebP));
    check("webp rgba8", &write(&image.to_rgba8().into(), ImageFormat::WebP));
}

#[test]
fn a_gif_does_not_exceed_the_estimate() {
    let file = write(&image(1_500, 1_000).into(), ImageFormat::Gif);
    check("gif", &file);
    // The screen is larger than the only frame.
    let mut large = file;
    large[6..8].copy_from_slice(&2_500_u16.to_le_bytes());
    large[8..10].copy_from_slice(&2_000_u16.to_le_bytes());
    check("gif with a small frame", &large);
}
