//! Draws images of dogs: flat vector graphics, one look per breed, in a random scene.

mod anatomy;
mod canvas;
mod coat;
mod collar;
mod colour;
mod dice;
mod ears;
mod hair;
mod head;
mod looks;
mod markings;
mod poses;
mod scene;
mod shape;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageError};

use self::anatomy::{Build, Hair};
use self::canvas::Canvas;
use self::coat::{Coat, Face, Hide};
use self::collar::Wear;
use self::colour::{Colour, WHITE, hex};
use self::dice::Dice;
use self::head::Mien;
use self::poses::Pose;
use self::scene::GROUND;
use self::shape::{Edge, ellipse};

const WIDTH: f32 = 800.0;
const HEIGHT: f32 = 600.0;
const SIZE: (u32, u32) = (800, 600);
const QUALITY: u8 = 85;

/// Why an image was not drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode the image")]
pub struct DrawError(#[from] ImageError);

/// Draws a dog of the breed as a JPEG file. The same breed and seed produce the same file.
pub fn jpeg(breed: &str, seed: u64) -> Result<Vec<u8>, DrawError> {
    let mut file = Vec::with_capacity(96 * 1024);
    let (width, height) = SIZE;
    JpegEncoder::new_with_quality(&mut file, QUALITY).encode(
        &rgb(breed, seed),
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(file)
}

/// The names of the breeds with a look of their own. Any other name gets the look of its main breed (`hound` of
/// `hound-afghan`), or that of a mixed breed.
pub fn looks() -> impl Iterator<Item = &'static str> {
    looks::names()
}

/// Draws a dog of the breed as rows of red, green and blue.
fn rgb(breed: &str, seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let Some(mut canvas) = Canvas::new(SIZE.0, SIZE.1) else {
        return Vec::new();
    };
    let look = Look::of(breed, &mut dice);
    paint(&mut canvas, &look, &mut dice);
    canvas.into_rgb()
}

/// The look of one dog: build and coat of its breed, with random variation.
struct Look {
    build: Build,
    coat: Coat,
    collar: Colour,
    wear: Wear,
    /// The side of a patch.
    patch_side: f32,
    /// Half width of a blaze.
    blaze: f32,
    bow: bool,
}

impl Look {
    fn of(breed: &str, dice: &mut Dice) -> Self {
        let (build, coats) = looks::find(breed);
        let mut build = *build;
        build.head.ear = (dice.around(build.head.ear.0, 0.06), dice.around(build.head.ear.1, 0.06));
        build.head.eye = dice.around(build.head.eye, 0.05);
        build.head.cheek = dice.around(build.head.cheek, 0.03);
        build.length = dice.around(build.length, 0.04);
        let coat = vary(dice.pick(coats), dice);
        Self {
            build,
            coat,
            collar: dice.pick(collar::COLOURS),
            wear: dice.pick(&[Wear::Collar, Wear::Collar, Wear::Collar, Wear::Bandana, Wear::Bow]),
            patch_side: dice.side(),
            blaze: dice.range(10.0, 20.0),
            bow: dice.chance(0.6),
        }
    }

    /// The colour of the muzzle.
    fn muzzle(&self) -> Colour {
        let coat = &self.coat;
        match coat.face {
            Face::Husky | Face::Points | Face::Blaze => coat.mark,
            Face::Tricolour | Face::Merle => WHITE,
            Face::Mask => coat.mark.lighter(0.07),
            Face::Light => coat.mark.lighter(0.1),
            Face::Plain | Face::Patch | Face::Spots | Face::Cap if coat.base.luma() > 0.8 => coat.base.lighter(0.5),
            Face::Plain | Face::Patch | Face::Spots | Face::Cap => coat.base.lighter(0.12),
        }
    }

    /// The colour of a light breast.
    fn bib(&self) -> Colour {
        self.coat.third
    }

    /// The colour of the feet, where it differs.
    fn sock(&self) -> Option<Colour> {
        match self.coat.hide {
            Hide::Bib | Hide::Collar | Hide::Points => Some(self.coat.third),
            Hide::Patches | Hide::Saddle if self.coat.face == Face::Blaze => Some(WHITE),
            _ => None,
        }
    }

    fn furry(&self) -> bool {
        matches!(self.build.head.hair, Hair::Fringe | Hair::Curtain) || matches!(self.build.edge, Edge::Curly(_))
    }

    /// Whether the coat around the eyes is too dark for dark eyes to be seen.
    fn dark_around_eyes(&self) -> bool {
        self.coat.base.luma() < 0.26 || self.coat.face == Face::Mask
    }
}

/// The coat a little lighter or darker, as dogs differ.
fn vary(coat: Coat, dice: &mut Dice) -> Coat {
    let share = dice.range(-0.07, 0.07);
    let shift = |colour: Colour| if share < 0.0 { colour.darker(-share) } else { colour.lighter(share) };
    Coat { base: shift(coat.base), trunk: shift(coat.trunk), ears: shift(coat.ears), ..coat }
}

fn paint(canvas: &mut Canvas, look: &Look, dice: &mut Dice) {
    let pose = dice.pick(&[Pose::Portrait, Pose::Portrait, Pose::Sitting, Pose::Standing, Pose::Standing]);
    let scene = dice.pick(if pose == Pose::Portrait { scene::PORTRAITS } else { scene::OUTINGS });
    scene::paint(canvas, scene, dice);
    let tongue = dice.chance(0.4);
    match pose {
        Pose::Portrait => portrait(canvas, look, tongue, dice),
        Pose::Sitting => sitting(canvas, look, tongue, dice),
        Pose::Standing => standing(canvas, look, tongue, dice),
    }
}

fn portrait(canvas: &mut Canvas, look: &Look, tongue: bool, dice: &mut Dice) {
    let (turn, scale, tilt) = (dice.range(-26.0, 26.0), dice.range(1.28, 1.42), dice.range(-5.0, 5.0));
    let head = &look.build.head;
    // Upright ears need room above.
    let y = 262.0 + if ears::stand(head.ears) { 26.0 * head.ear.1 } else { 0.0 };
    canvas.placed((WIDTH / 2.0, y), (scale, scale), |canvas| {
        canvas.turned((0.0, 220.0), tilt, |canvas| {
            poses::portrait(canvas, look, Mien { turn, tongue }, (HEIGHT - y) / scale + 30.0, dice);
        });
    });
}

fn sitting(canvas: &mut Canvas, look: &Look, tongue: bool, dice: &mut Dice) {
    let (turn, scale, side) = (dice.range(-18.0, 18.0), sized(look, 1.16), dice.side());
    shadow(canvas, look.build.depth * 1.5 * scale);
    canvas.placed((WIDTH / 2.0, GROUND), (scale * side, scale), |canvas| {
        poses::sitting(canvas, look, Mien { turn, tongue }, dice);
    });
}

fn standing(canvas: &mut Canvas, look: &Look, tongue: bool, dice: &mut Dice) {
    let (turn, scale, side) = (dice.range(14.0, 30.0), sized(look, 1.0), dice.side());
    shadow(canvas, look.build.length * 0.72 * scale);
    canvas.placed((WIDTH / 2.0 - side * 34.0, GROUND), (scale * side, scale), |canvas| {
        poses::standing(canvas, look, Mien { turn, tongue }, dice);
    });
}

/// The scale at which a dog fills the image: small ones are seen from nearer.
fn sized(look: &Look, most: f32) -> f32 {
    let build = &look.build;
    let head =
        (build.head.crown + build.head.chin) * build.head_scale + 74.0 * build.head.ear.1.min(1.3) * build.head_scale;
    let height = build.legs + build.depth + build.neck + head;
    (478.0 / height).min(640.0 / (build.length * 1.6)).min(most * 1.35)
}

fn shadow(canvas: &mut Canvas, half: f32) {
    canvas.wash(&ellipse(WIDTH / 2.0, GROUND, half, 19.0), hex(0x18_1830), 0.22);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How many colours a sample of the pixels has: a crude measure of what there is to see.
    fn colours(rows: &[u8]) -> usize {
        let seen: BTreeSet<_> =
            rows.chunks_exact(3).step_by(97).map(|pixel| [pixel[0] >> 4, pixel[1] >> 4, pixel[2] >> 4]).collect();
        seen.len()
    }

    #[test]
    fn the_same_seed_draws_the_same_dog_and_another_seed_another() {
        let image = rgb("husky", 1);
        assert_eq!(image.len(), 800 * 600 * 3);
        assert_eq!(image, rgb("husky", 1));
        assert_ne!(image, rgb("husky", 2));
        assert_ne!(image, rgb("pug", 1));
    }

    #[test]
    fn images_are_not_blank() {
        for (seed, breed) in
            [(1, "dalmatian"), (2, "poodle-toy"), (3, "sheepdog-english"), (4, "pug"), (5, "unheard-of")]
        {
            let colours = colours(&rgb(breed, seed));
            assert!(colours > 20, "{breed}: {colours}");
        }
    }

    #[test]
    fn files_are_jpeg_of_a_bearable_size() {
        let file = jpeg("beagle", 4).unwrap();
        assert_eq!(kennel_core::objects::sniff(&file), Some("image/jpeg"));
        assert!((10_000..200_000).contains(&file.len()), "{}", file.len());
    }
}
