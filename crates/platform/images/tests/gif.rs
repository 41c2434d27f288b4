//! GIF files of every kind: what is accepted, and what is created from them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;
use std::io::Cursor;

use kennel_testkit::gifs::{GifFile, samples};

use kennel_images::gif::{GifError, GifInfo, GifLimits, Renditions, inspect, render};

const MEMORY: u64 = 64 << 20;

fn info(file: &[u8]) -> GifInfo {
    inspect(Cursor::new(file), &GifLimits::default()).unwrap()
}

fn renditions(file: &[u8]) -> Renditions {
    render(Cursor::new(file), &info(file), MEMORY).unwrap()
}

/// A line for each file of [`samples`].
fn table() -> String {
    let mut table = String::new();
    for (name, file) in samples() {
        let _infallible = match inspect(Cursor::new(&file), &GifLimits::default()) {
            Ok(info) => {
                let defects: Vec<_> = info.defects.iter().map(|defect| defect.name()).collect();
                let plays = info.plays.map_or("endless".to_owned(), |plays| plays.to_string());
                let (frames, millis, raw) = (info.frames, info.duration.as_millis(), info.raw_duration.as_millis());
                let line =
                    format!("{name:32} {frames:5} frames {millis:7} ms ({raw} ms) {plays:8} {}", defects.join(","));
                writeln!(table, "{}", line.trim_end())
            }
            Err(GifError::NotAGif(format)) => writeln!(table, "{name:32} not a GIF: {format}"),
            Err(GifError::Damaged(detail)) => writeln!(table, "{name:32} damaged: {detail}"),
            Err(GifError::OverLimits(detail)) => writeln!(table, "{name:32} over limits: {detail}"),
            Err(error) => writeln!(table, "{name:32} {error:?}"),
        };
    }
    table
}

#[test]
fn unusual_files_are_accepted_or_refused() {
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples.txt"), &table).unwrap();
        return;
    }
    println!("{table}");
    assert_eq!(table, include_str!("samples.txt"));
}

#[test]
fn a_file_cut_anywhere_is_refused_or_has_only_complete_frames() {
    let whole = GifFile::animation(20, 10, 4, 7).end();
    let mut most = 0;
    for end in 0..whole.len() {
        let cut = &whole[..end];
        let Ok(info) = inspect(Cursor::new(cut), &GifLimits::default()) else { continue };
        assert!((most..=4).contains(&info.frames), "{end}: {info:?}");
        assert!(info.defects.len() == 1, "{end}: {info:?}");
        most = info.frames;
        assert_eq!(renditions(cut).defect, None, "all frames of {end} bytes can be decoded");
    }
    assert_eq!(most, 4);
}

#[test]
fn a_file_with_any_changed_byte_neither_panics_nor_hangs() {
    let whole = GifFile::animation(12, 6, 2, 7).end();
    for at in 0..whole.len() {
        for value in [0, 1, 0x21, 0x2C, 0x3B, 0x80, 0xFF] {
            let mut file = whole.clone();
            file[at] = value;
            let Ok(info) = inspect(Cursor::new(&file), &GifLimits::default()) else { continue };
            if info.memory() <= MEMORY {
                drop(render(Cursor::new(&file), &info, MEMORY));
            }
        }
    }
}

#[test]
fn a_poster_is_the_first_frame_on_a_transparent_screen() {
    let file = GifFile::new(40, 30).image(10, 5, 20, 10, 1).image(0, 0, 40, 30, 2).end();
    let Renditions { poster, small, .. } = renditions(&file);
    assert_eq!((poster.width, poster.height, small), (40, 30, None));
    let image = image::load_from_memory_with_format(&poster.bytes, image::ImageFormat::WebP).unwrap().into_rgba8();
    assert_eq!((image.get_pixel(0, 0).0[3], image.get_pixel(15, 10).0), (0, [220, 20, 20, 255]));
}

#[test]
fn the_small_animation_lasts_as_long_and_is_drawn_alike() {
    let file = GifFile::new(800, 400).repeat(2);
    // The second frame is drawn over the first one, then both are cleared, and the third one is alone.
    let file = file.control(0, 1, None).image(0, 0, 800, 400, 1).control(30, 2, None).image(0, 0, 400, 400, 2);
    let file = file.control(5, 0, None).image(400, 200, 400, 200, 3).end();
    let small = renditions(&file).small.unwrap();
    assert_eq!((small.width, small.height), (200, 100));
    let (original, info) = (info(&file), info(&small.bytes));
    assert_eq!(
        (info.duration, info.raw_duration),
        (original.duration, original.duration),
        "delays are those of browsers"
    );
    assert_eq!((info.frames, info.plays, info.defects.as_slice()), (3, Some(3), &[][..]));
    let colours = frames(&small.bytes, &[(50, 25), (150, 75)]);
    let (red, green, blue, clear) = ([220, 20, 20, 255], [20, 220, 20, 255], [20, 20, 220, 255], [0; 4]);
    assert_eq!(colours, [[red, red], [green, red], [clear, blue]]);
}

#[test]
fn a_long_animation_has_fewer_frames_and_the_same_duration() {
    let file = GifFile::animation(201, 2, 450, 4).end();
    let small = info(&renditions(&file).small.unwrap().bytes);
    assert_eq!((small.frames, small.duration), (90, info(&file).duration));
}

#[test]
fn frames_that_cannot_be_decoded_end_the_animation() {
    let samples = samples();
    let sample = |name: &str| samples.iter().find(|sample| sample.0 == name).unwrap().1.clone();
    let first = sample("too-little-data-in-the-1st-frame");
    let refused = inspect(Cursor::new(&first), &GifLimits::default());
    let refused = refused.and_then(|info| render(Cursor::new(&first), &info, MEMORY));
    println!("{refused:?}");
    let large = GifFile::animation(300, 4, 2, 5).hollow(0, 0, 300, 4).end();
    println!("{:?} {:?}", renditions(&large).defect, info(&large));
}

#[test]
fn limits_of_memory_are_kept_while_decoding() {
    let file = GifFile::animation(1_000, 1_000, 2, 5).end();
    let info = info(&file);
    assert!(render(Cursor::new(&file), &info, info.memory()).is_ok());
    assert!(matches!(render(Cursor::new(&file), &info, 1 << 20), Err(GifError::Damaged(_))));
}

/// The colours at some points of every frame.
fn frames<const N: usize>(file: &[u8], points: &[(u32, u32); N]) -> Vec<[[u8; 4]; N]> {
    use image::AnimationDecoder as _;
    let frames =
        image::codecs::gif::GifDecoder::new(Cursor::new(file)).unwrap().into_frames().collect_frames().unwrap();
    frames.iter().map(|frame| points.map(|(x, y)| frame.buffer().get_pixel(x, y).0)).collect()
}
