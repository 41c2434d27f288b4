//! What decoding really takes, measured in a process of its own, is no more than what pictures are admitted by.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use dogs::images::{ImageInfo, inspect, thumbnail};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, Rgb, RgbImage};

/// Set for the process that decodes: the file.
const FILE: &str = "TEST_PICTURE_FILE";
const MEMORY: u64 = 64 << 20;
/// What a process takes for anything at all: a thread's stack, pages of its program that are first used.
const SLACK: u64 = 3 << 20;

/// The most memory that this process had so far, in bytes.
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

/// What decoding the file takes.
fn taken(file: &Path) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FILE, file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("peak "));
    line.unwrap_or_else(|| panic!("{text}")).1.parse().unwrap()
}

/// Neither plain nor noise alone, so that no format stores it in a few bytes.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).to_be_bytes()[0] / 8;
        Rgb([(x / 16).to_be_bytes()[3] | grain, (y / 16).to_be_bytes()[3], grain])
    })
}

fn write(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn hold(name: &str, file: &[u8]) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("picture");
    std::fs::write(&path, file).unwrap();
    let ImageInfo { memory, width, height, .. } = inspect(file, MEMORY).unwrap();
    let taken = taken(&path);
    println!("{name} {width} x {height}: {} of {} KiB", taken >> 10, memory >> 10);
    assert!(taken <= memory + SLACK, "{name}: {taken} bytes are taken, {memory} were counted");
    assert!(taken * 4 > memory, "{name}: far more is counted than the {taken} bytes that are taken: {memory}");
}

#[test]
fn a_jpeg_takes_what_is_counted() {
    let picture = picture(3_000, 2_000);
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 85)
        .write_image(&picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    hold("jpeg", &file);
}

#[test]
fn a_png_takes_what_is_counted() {
    let picture = DynamicImage::from(picture(2_000, 1_500));
    for (name, picture) in [
        ("png rgb8", picture.clone()),
        ("png rgba8", picture.to_rgba8().into()),
        ("png rgba16", picture.to_rgba16().into()),
        ("png la8", picture.to_luma_alpha8().into()),
    ] {
        hold(name, &write(&picture, ImageFormat::Png));
    }
}

#[test]
fn a_webp_takes_what_is_counted() {
    let picture = DynamicImage::from(picture(2_000, 1_500));
    hold("webp rgb8", &write(&picture, ImageFormat::WebP));
    hold("webp rgba8", &write(&picture.to_rgba8().into(), ImageFormat::WebP));
}

#[test]
fn a_gif_takes_what_is_counted() {
    let file = write(&picture(1_500, 1_000).into(), ImageFormat::Gif);
    hold("gif", &file);
    // The screen is larger than its one frame.
    let mut large = file;
    large[6..8].copy_from_slice(&2_500_u16.to_le_bytes());
    large[8..10].copy_from_slice(&2_000_u16.to_le_bytes());
    hold("gif with a small frame", &large);
}
