//! Backgrounds. Each fills the image; dogs stand on `GROUND`.

use super::canvas::Canvas;
use super::colour::{Colour, WHITE, hex};
use super::dice::Dice;
use super::shape::{Point, blob, curve, ellipse, polygon, rect};
use super::{HEIGHT, WIDTH};

/// Where feet are, from the top.
pub(super) const GROUND: f32 = 528.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scene {
    #[default]
    Studio,
    Park,
    Beach,
    Night,
    Room,
    Snow,
    Autumn,
}

pub(super) const PORTRAITS: &[Scene] =
    &[Scene::Studio, Scene::Studio, Scene::Studio, Scene::Park, Scene::Night, Scene::Room, Scene::Autumn, Scene::Beach];
pub(super) const OUTINGS: &[Scene] =
    &[Scene::Park, Scene::Park, Scene::Beach, Scene::Night, Scene::Room, Scene::Snow, Scene::Autumn, Scene::Studio];

pub(super) fn paint(canvas: &mut Canvas, scene: Scene, dice: &mut Dice) {
    match scene {
        Scene::Studio => studio(canvas, dice),
        Scene::Park => park(canvas, dice),
        Scene::Beach => beach(canvas, dice),
        Scene::Night => night(canvas, dice),
        Scene::Room => room(canvas, dice),
        Scene::Snow => snow(canvas, dice),
        Scene::Autumn => autumn(canvas, dice),
    }
}

const PASTELS: &[Colour] =
    &[hex(0xf6_c8a8), hex(0xa9_d6e5), hex(0xb8_e0c2), hex(0xf7_d794), hex(0xd3_c4ee), hex(0xf5_b8c4), hex(0x8f_c1b5)];

fn backdrop(canvas: &mut Canvas, top: Colour, bottom: Colour) {
    canvas.gradient(&rect(0.0, 0.0, WIDTH, HEIGHT), ((0.0, 0.0), top), ((0.0, HEIGHT), bottom));
}

fn studio(canvas: &mut Canvas, dice: &mut Dice) {
    let colour = dice.pick(PASTELS);
    backdrop(canvas, colour.lighter(0.25), colour.darker(0.06));
    let rings = dice.chance(0.5);
    canvas.wash(&ellipse(WIDTH / 2.0, 310.0, 262.0, 262.0), WHITE, 0.38);
    if rings {
        canvas.wash(&ellipse(WIDTH / 2.0, 310.0, 322.0, 322.0), WHITE, 0.16);
    }
    for _ in 0u8..34 {
        let (x, y, size) = (dice.range(0.0, WIDTH), dice.range(0.0, HEIGHT), dice.range(3.0, 9.0));
        let mark = dice.pick(PASTELS).lighter(0.35);
        if rings {
            canvas.wash(&ellipse(x, y, size, size), mark, 0.8);
        } else {
            paw_print(canvas, (x, y), size, mark);
        }
    }
}

fn paw_print(canvas: &mut Canvas, (x, y): Point, size: f32, colour: Colour) {
    canvas.wash(&ellipse(x, y, size, size * 0.85), colour, 0.7);
    for (dx, dy) in [(-1.1, -0.9), (-0.4, -1.5), (0.4, -1.5), (1.1, -0.9)] {
        canvas.wash(&ellipse(x + dx * size, y + dy * size, size * 0.38, size * 0.46), colour, 0.7);
    }
}

/// A hilly horizon around the height.
fn hills(canvas: &mut Canvas, y: f32, swing: f32, colour: Colour, dice: &mut Dice) {
    let mut points = vec![(-80.0, HEIGHT + 80.0), (-80.0, y)];
    for step in 0u8..6 {
        points.push((f32::from(step) * 180.0 - 20.0, y + dice.range(-swing, swing)));
    }
    points.push((WIDTH + 80.0, HEIGHT + 80.0));
    canvas.fill(&blob(&points), colour);
}

fn sun(canvas: &mut Canvas, at: Point, colour: Colour) {
    canvas.glow(&ellipse(at.0, at.1, 170.0, 170.0), at, 170.0, colour, 0.6);
    canvas.fill(&ellipse(at.0, at.1, 46.0, 46.0), colour.lighter(0.3));
}

fn cloud(canvas: &mut Canvas, (x, y): Point, size: f32, opacity: f32) {
    for (dx, dy, r) in [(-1.0, 0.15, 0.6), (-0.3, -0.25, 0.8), (0.5, -0.05, 0.7), (1.1, 0.2, 0.5)] {
        canvas.wash(&ellipse(x + dx * size, y + dy * size, r * size, r * size * 0.62), WHITE, opacity);
    }
}

fn tree(canvas: &mut Canvas, (x, y): Point, size: f32, leaves: Colour) {
    canvas.fill(&rect(x - size * 0.1, y - size * 0.8, size * 0.2, size * 0.9), hex(0x80_5a3e));
    for (dx, dy, r) in [(-0.4, -1.0, 0.5), (0.4, -1.05, 0.52), (0.0, -1.5, 0.56), (0.0, -1.0, 0.5)] {
        canvas.fill(&ellipse(x + dx * size, y + dy * size, r * size, r * size), leaves);
    }
    canvas.wash(&ellipse(x - size * 0.2, y - size * 1.55, size * 0.3, size * 0.26), WHITE, 0.14);
}

fn grass(canvas: &mut Canvas, colour: Colour, dice: &mut Dice) {
    for _ in 0u8..60 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(470.0, HEIGHT));
        let lean = dice.range(-6.0, 6.0);
        canvas.stroke(&curve((x, y), (x + lean * 0.3, y - 8.0), (x + lean, y - 15.0)), colour, 2.6);
    }
}

fn park(canvas: &mut Canvas, dice: &mut Dice) {
    backdrop(canvas, hex(0x8f_cdee), hex(0xe9_f6f3));
    sun(canvas, (dice.range(90.0, 710.0), 92.0), hex(0xff_e08a));
    for _ in 0u8..3 {
        cloud(canvas, (dice.range(40.0, 760.0), dice.range(60.0, 190.0)), dice.range(34.0, 56.0), 0.85);
    }
    hills(canvas, 350.0, 34.0, hex(0xa8_d3a0), dice);
    for x in [60.0, 200.0, 610.0, 745.0] {
        let size = dice.range(62.0, 100.0);
        let leaves = hex(0x5f_a86a).mix(hex(0x86_bd5c), dice.range(0.0, 1.0));
        tree(canvas, (x + dice.range(-30.0, 30.0), 432.0), size, leaves);
    }
    hills(canvas, 432.0, 14.0, hex(0x84_c07a), dice);
    grass(canvas, hex(0x62_a862), dice);
    for _ in 0u8..16 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(470.0, 590.0));
        let petals = dice.pick(&[hex(0xff_ffff), hex(0xff_d35c), hex(0xf5_8fa6)]);
        canvas.fill(&ellipse(x, y, 4.6, 4.6), petals);
        canvas.fill(&ellipse(x, y, 1.8, 1.8), hex(0xd8_9030));
    }
}

fn beach(canvas: &mut Canvas, dice: &mut Dice) {
    let evening = dice.chance(0.4);
    let (top, low) = if evening { (hex(0xf2_9a7e), hex(0xff_e0a8)) } else { (hex(0x7c_c8f0), hex(0xdd_f4fa)) };
    backdrop(canvas, top, low);
    sun(canvas, (dice.range(120.0, 680.0), if evening { 270.0 } else { 100.0 }), hex(0xff_d878));
    cloud(canvas, (dice.range(80.0, 720.0), 130.0), 46.0, 0.7);
    let sea = if evening { hex(0x4f_8aa8) } else { hex(0x3f_a4c4) };
    canvas.gradient(&rect(0.0, 306.0, WIDTH, 170.0), ((0.0, 306.0), sea), ((0.0, 470.0), sea.lighter(0.45)));
    for _ in 0u8..14 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(322.0, 400.0));
        canvas.stroke(&curve((x, y), (x + 16.0, y - 5.0), (x + 34.0, y)), WHITE.mix(sea, 0.35), 2.6);
    }
    sail(canvas, (dice.range(90.0, 700.0), 310.0));
    hills(canvas, 426.0, 9.0, hex(0xfb_f3df), dice);
    hills(canvas, 436.0, 9.0, hex(0xf0_d8a6), dice);
    for _ in 0u8..70 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(462.0, HEIGHT));
        canvas.fill(&ellipse(x, y, 1.8, 1.4), hex(0xd9_ba82));
    }
    let x = if dice.chance(0.5) { 96.0 } else { 704.0 };
    canvas.fill(&ellipse(x, 516.0, 30.0, 30.0), hex(0xfa_f6ee));
    canvas.fill(&polygon(&[(x, 516.0), (x - 26.0, 501.0), (x - 8.0, 487.0)]), hex(0xe0_5a4c));
    canvas.fill(&polygon(&[(x, 516.0), (x + 27.0, 504.0), (x + 24.0, 532.0)]), hex(0x3f_8fc4));
    canvas.fill(&polygon(&[(x, 516.0), (x - 6.0, 545.0), (x - 26.0, 530.0)]), hex(0xf2_b83c));
}

fn sail(canvas: &mut Canvas, (x, y): Point) {
    canvas.fill(&polygon(&[(x, y - 62.0), (x, y - 6.0), (x + 38.0, y - 6.0)]), WHITE);
    canvas.fill(&polygon(&[(x - 5.0, y - 52.0), (x - 5.0, y - 6.0), (x - 28.0, y - 6.0)]), hex(0xf4_c8b0));
    canvas.fill(&polygon(&[(x - 34.0, y), (x + 42.0, y), (x + 28.0, y + 13.0), (x - 22.0, y + 13.0)]), hex(0xb4_5344));
}

fn night(canvas: &mut Canvas, dice: &mut Dice) {
    backdrop(canvas, hex(0x1d_2750), hex(0x6f_6aa8));
    for _ in 0u8..90 {
        let (x, y, size) = (dice.range(0.0, WIDTH), dice.range(0.0, 380.0), dice.range(0.8, 2.6));
        canvas.wash(&ellipse(x, y, size, size), hex(0xff_f6d8), dice.range(0.4, 1.0));
    }
    let x = if dice.chance(0.5) { 130.0 } else { 672.0 };
    canvas.glow(&ellipse(x, 108.0, 190.0, 190.0), (x, 108.0), 190.0, hex(0xff_f2c4), 0.45);
    canvas.fill(&ellipse(x, 108.0, 52.0, 52.0), hex(0xff_f3d0));
    for (dx, dy, size) in [(-16.0, -10.0, 10.0), (14.0, 12.0, 13.0), (10.0, -22.0, 6.0)] {
        canvas.fill(&ellipse(x + dx, 108.0 + dy, size, size), hex(0xef_dfb2));
    }
    hills(canvas, 372.0, 36.0, hex(0x47_4a84), dice);
    for _ in 0u8..9 {
        let (x, size) = (dice.range(0.0, WIDTH), dice.range(52.0, 92.0));
        fir(canvas, (x, 452.0), size, hex(0x34_3a6c));
    }
    hills(canvas, 440.0, 12.0, hex(0x4f_6a80), dice);
    grass(canvas, hex(0x6a_8894), dice);
    for _ in 0u8..12 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(330.0, 560.0));
        canvas.glow(&ellipse(x, y, 12.0, 12.0), (x, y), 12.0, hex(0xff_ee90), 0.9);
    }
}

fn fir(canvas: &mut Canvas, (x, y): Point, size: f32, colour: Colour) {
    for (top, wide) in [(1.5, 0.34), (1.15, 0.46), (0.8, 0.58)] {
        let tip = y - size * top;
        canvas.fill(
            &polygon(&[(x, tip), (x + size * wide, tip + size * 0.66), (x - size * wide, tip + size * 0.66)]),
            colour,
        );
    }
    canvas.fill(&rect(x - size * 0.07, y - size * 0.2, size * 0.14, size * 0.25), colour.darker(0.3));
}

fn room(canvas: &mut Canvas, dice: &mut Dice) {
    let wall = dice.pick(&[hex(0xf0_d9c0), hex(0xc5_dcd4), hex(0xe7_c9c4), hex(0xc9_d3e6), hex(0xe6_dfa8)]);
    backdrop(canvas, wall.lighter(0.12), wall);
    if dice.chance(0.5) {
        for step in 0u8..14 {
            canvas.wash(&rect(f32::from(step) * 60.0, 0.0, 28.0, 440.0), WHITE, 0.22);
        }
    } else {
        for index in 0u8..70 {
            let (row, column) = (f32::from(index / 10), f32::from(index % 10));
            let x = column * 88.0 + if index / 10 % 2 == 0 { 8.0 } else { 52.0 };
            canvas.wash(&ellipse(x, row * 62.0 + 30.0, 8.0, 8.0), WHITE, 0.35);
        }
    }
    let floor = dice.pick(&[hex(0xb9_8658), hex(0xa8_7650), hex(0xc9_9c70)]);
    canvas.gradient(&rect(0.0, 440.0, WIDTH, 160.0), ((0.0, 440.0), floor.darker(0.1)), ((0.0, HEIGHT), floor));
    canvas.fill(&rect(0.0, 428.0, WIDTH, 14.0), WHITE);
    for y in [478.0, 524.0, 572.0] {
        canvas.stroke(&curve((0.0, y), (400.0, y), (WIDTH, y)), floor.darker(0.16), 2.0);
    }
    let rug = dice.pick(PASTELS).darker(0.12);
    canvas.fill(&ellipse(400.0, 540.0, 330.0, 52.0), rug);
    canvas.fill(&ellipse(400.0, 540.0, 290.0, 42.0), rug.lighter(0.35));
    let (frame, plant) = if dice.chance(0.5) { (118.0, 700.0) } else { (682.0, 100.0) };
    painting(canvas, (frame, 150.0), dice);
    pot(canvas, (plant, 470.0));
}

fn painting(canvas: &mut Canvas, (x, y): Point, dice: &mut Dice) {
    canvas.fill(&rect(x - 66.0, y - 76.0, 132.0, 152.0), hex(0x8a_6244));
    canvas.fill(&rect(x - 56.0, y - 66.0, 112.0, 132.0), hex(0xfb_f6ea));
    let ink = dice.pick(PASTELS).darker(0.3);
    canvas.fill(&ellipse(x, y + 10.0, 26.0, 22.0), ink);
    for (dx, dy) in [(-30.0, -14.0), (-11.0, -32.0), (11.0, -32.0), (30.0, -14.0)] {
        canvas.fill(&ellipse(x + dx, y + dy, 9.0, 12.0), ink);
    }
}

fn pot(canvas: &mut Canvas, (x, y): Point) {
    for (dx, dy) in [(-54.0, -130.0), (-28.0, -176.0), (4.0, -196.0), (34.0, -170.0), (58.0, -122.0)] {
        let tip = (x + dx, y + dy);
        let leaf = [(x, y - 30.0), (x + dx * 0.4 - 16.0, y + dy * 0.6), tip, (x + dx * 0.4 + 18.0, y + dy * 0.6)];
        canvas.fill(&blob(&leaf), hex(0x5c_9c6c).mix(hex(0x3f_7f5a), (dx.abs() / 60.0).min(1.0)));
    }
    canvas.fill(
        &polygon(&[(x - 40.0, y - 40.0), (x + 40.0, y - 40.0), (x + 30.0, y + 30.0), (x - 30.0, y + 30.0)]),
        hex(0xc8_6e4c),
    );
    canvas.fill(&rect(x - 44.0, y - 48.0, 88.0, 18.0), hex(0xb4_5c3c));
}

fn snow(canvas: &mut Canvas, dice: &mut Dice) {
    backdrop(canvas, hex(0x9c_c2e2), hex(0xe8_f1f8));
    for (x, peak) in [(150.0, 170.0), (420.0, 120.0), (660.0, 190.0)] {
        let peak = peak + dice.range(-20.0, 20.0);
        canvas.fill(&polygon(&[(x - 260.0, 440.0), (x, peak), (x + 260.0, 440.0)]), hex(0x84_a0c0));
        let cap = [
            (x, peak),
            (x + 72.0, peak + 84.0),
            (x + 34.0, peak + 70.0),
            (x + 4.0, peak + 96.0),
            (x - 30.0, peak + 68.0),
            (x - 68.0, peak + 84.0),
        ];
        canvas.fill(&polygon(&cap), WHITE);
    }
    for _ in 0u8..8 {
        let (x, size) = (dice.range(0.0, WIDTH), dice.range(56.0, 100.0));
        fir(canvas, (x, 446.0), size, hex(0x4d_7c78));
    }
    hills(canvas, 432.0, 14.0, hex(0xf3_f7fb), dice);
    hills(canvas, 500.0, 12.0, hex(0xe6_eef6), dice);
    for _ in 0u8..90 {
        let (x, y, size) = (dice.range(0.0, WIDTH), dice.range(0.0, HEIGHT), dice.range(1.6, 4.2));
        canvas.wash(&ellipse(x, y, size, size), WHITE, 0.9);
    }
}

fn autumn(canvas: &mut Canvas, dice: &mut Dice) {
    backdrop(canvas, hex(0xf6_cf9a), hex(0xfd_efd2));
    sun(canvas, (dice.range(120.0, 680.0), 130.0), hex(0xff_dd96));
    hills(canvas, 360.0, 30.0, hex(0xd9_a05c), dice);
    let leaves = [hex(0xd8_7a34), hex(0xc2_542e), hex(0xe6_a83c), hex(0xb8_662e)];
    for x in [50.0, 190.0, 330.0, 500.0, 640.0, 760.0] {
        let size = dice.range(70.0, 108.0);
        let colour = dice.pick(&leaves);
        tree(canvas, (x + dice.range(-24.0, 24.0), 436.0), size, colour);
    }
    hills(canvas, 436.0, 12.0, hex(0xc8_a258), dice);
    for _ in 0u8..60 {
        let (x, y) = (dice.range(0.0, WIDTH), dice.range(450.0, HEIGHT));
        let (colour, turn) = (dice.pick(&leaves), dice.range(0.0, 180.0));
        canvas.turned((x, y), turn, |canvas| canvas.fill(&ellipse(x, y, 8.0, 4.0), colour));
    }
}
