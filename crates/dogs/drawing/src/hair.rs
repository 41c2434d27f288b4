//! Hair that a head wears outside its outline: beards, brows, topknots, curtains and fringes.

use super::Look;
use super::anatomy::{Hair, Head};
use super::canvas::Canvas;
use super::colour::{Colour, hex};
use super::head::{shade, shifted};
use super::shape::{Edge, curve, ellipse, mirrored, outline, polygon};

/// Hair behind the head.
pub(super) fn behind(canvas: &mut Canvas, look: &Look) {
    let head = &look.build.head;
    if head.hair == Hair::Curtain {
        let half = [
            (0.0, -head.crown * 1.02),
            (head.temple * 0.8, -head.crown * 0.8),
            (head.cheek * 1.22, head.chin * 0.3),
            (head.cheek * 1.26, head.chin * 1.3),
            (head.cheek * 0.7, head.chin * 1.5),
            (0.0, head.chin * 1.2),
        ];
        canvas.fill(&outline(&mirrored(&half), Edge::Tufted(14.0)), shade(look.coat.base, 0.12));
    }
}

/// Hair in front of the face, under the nose.
pub(super) fn front(canvas: &mut Canvas, look: &Look, turn: f32) {
    let head = &look.build.head;
    match head.hair {
        Hair::None => {}
        Hair::Beard => beard(canvas, look, turn),
        Hair::Topknot => topknot(canvas, look),
        Hair::Curtain => curtain(canvas, look, turn),
        Hair::Fringe => fringe(canvas, look, turn),
    }
}

fn beard(canvas: &mut Canvas, look: &Look, x: f32) {
    let (head, colour) = (&look.build.head, look.muzzle());
    let (m, y) = (head.muzzle, head.nose_y);
    let half = [
        (0.0, y - 16.0),
        (m * 0.8, y - 6.0),
        (m * 1.28, y + 22.0),
        (m * 1.2, head.chin + 4.0),
        (m * 0.66, head.chin + 28.0),
        (0.0, head.chin + 36.0),
    ];
    let shape = shifted(&mirrored(&half), x, Edge::Tufted(15.0));
    canvas.fill(&shape, colour);
    strands(canvas, colour, (x, y + 24.0), m, head.chin + 18.0);
    for side in [-1.0, 1.0] {
        brow(canvas, head, colour.lighter(0.08), x, side);
    }
}

fn brow(canvas: &mut Canvas, head: &Head, colour: Colour, turn: f32, side: f32) {
    let x = turn * 0.5;
    let (inner, outer) = (x + side * head.eye_x * 0.5, x + side * (head.eye_x + 24.0));
    let (middle, y) = (f32::midpoint(inner, outer), -head.eye - 15.0);
    // High inside and low outside: a friendly face.
    let points = [(inner, y - 17.0), (middle, y - 18.0), (outer, y + 10.0), (middle, y + 3.0), (inner, y + 1.0)];
    canvas.fill(&outline(&points, Edge::Tufted(7.0)), colour);
}

/// A few lines that show how hair falls.
fn strands(canvas: &mut Canvas, colour: Colour, top: (f32, f32), width: f32, bottom: f32) {
    for step in [-0.75, -0.4, 0.4, 0.75] {
        let x = top.0 + step * width;
        let end = (top.0 + step * width * 1.1, bottom - step.abs() * 22.0);
        canvas.stroke(
            &curve((x, top.1 + 14.0), (x + step * 10.0, f32::midpoint(top.1, end.1)), end),
            shade(colour, 0.16),
            3.0,
        );
    }
}

fn topknot(canvas: &mut Canvas, look: &Look) {
    let head = &look.build.head;
    let (w, y) = (head.temple * 0.98, -head.crown * 0.98);
    let half = [(0.0, y - 56.0), (w * 0.72, y - 40.0), (w, y + 2.0), (w * 0.74, y + 38.0), (0.0, y + 44.0)];
    let shape = outline(&mirrored(&half), Edge::Curly(15.0));
    canvas.fill(&shape, look.coat.base.lighter(0.05));
    let swirl = shade(look.coat.base, 0.14);
    for (dx, dy) in [(-0.45, -8.0), (0.1, -26.0), (0.5, 2.0), (-0.05, 12.0)] {
        let x = dx * w;
        canvas.stroke(&curve((x - 12.0, y + dy), (x, y + dy - 16.0), (x + 12.0, y + dy)), swirl, 3.5);
    }
}

fn curtain(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, colour) = (&look.build.head, look.coat.base.lighter(0.06));
    let (m, y) = (head.muzzle, head.nose_y);
    for side in [-1.0, 1.0] {
        let points = [
            (side * 3.0, -head.crown * 1.0),
            (side * head.temple * 0.72, -head.crown * 0.72),
            (side * head.cheek * 1.12, head.chin * 0.2),
            (side * head.cheek * 1.16, head.chin * 1.1),
            (side * head.cheek * 0.86, head.chin * 1.2),
            (side * head.cheek * 0.9, head.chin * 0.3),
            (side * head.temple * 0.72, -head.crown * 0.4),
        ];
        canvas.fill(&outline(&points, Edge::Tufted(8.0)), colour);
        let moustache = [
            (turn, y - 4.0),
            (turn + side * m, y + 4.0),
            (turn + side * m * 1.6, y + 62.0),
            (turn + side * m * 0.9, y + 70.0),
            (turn, y + 26.0),
        ];
        canvas.fill(&outline(&moustache, Edge::Tufted(10.0)), look.muzzle());
    }
    if look.bow {
        bow(canvas, (0.0, -head.crown * 0.98));
    }
}

fn bow(canvas: &mut Canvas, at: (f32, f32)) {
    let colour = hex(0xe0_5a78);
    for side in [-1.0, 1.0] {
        let tip = at.0 + side * 36.0;
        canvas.fill(&polygon(&[at, (tip, at.1 - 20.0), (tip, at.1 + 18.0)]), colour);
    }
    canvas.fill(&ellipse(at.0, at.1, 9.0, 10.0), colour.darker(0.2));
}

fn fringe(canvas: &mut Canvas, look: &Look, turn: f32) {
    let head = &look.build.head;
    let colour = if look.coat.base.luma() > 0.8 { look.coat.base } else { look.coat.base.lighter(0.08) };
    let half = [
        (0.0, -head.crown * 1.06),
        (head.temple * 0.72, -head.crown * 0.92),
        (head.temple * 1.02, -head.crown * 0.1),
        (head.temple * 0.72, 30.0),
        (0.0, 24.0),
    ];
    canvas.fill(&shifted(&mirrored(&half), turn * 0.4, Edge::Tufted(20.0)), colour);
    let line = shade(colour, 0.16);
    for step in [-0.7, -0.42, -0.14, 0.14, 0.42, 0.7] {
        let (x, end) = (step * head.temple * 0.8, step * head.temple + turn * 0.4);
        canvas.stroke(&curve((x * 0.5, -head.crown * 0.82), (x, -40.0), (end, 16.0 - step.abs() * 16.0)), line, 3.5);
    }
}
