//! Ears.

use super::Look;
use super::anatomy::{Ears, Head};
use super::canvas::Canvas;
use super::colour::{Colour, hex};
use super::dice::Dice;
use super::head::{feathered, shade};
use super::shape::{Edge, Point, Shape, outline, polygon};

/// Whether ears of this kind stand behind the head, rather than hang before it.
pub(super) const fn stand(ears: Ears) -> bool {
    matches!(ears, Ears::Pricked | Ears::Bat | Ears::Tipped | Ears::Butterfly | Ears::Rose)
}

/// Paints both ears.
pub(super) fn paint(canvas: &mut Canvas, look: &Look, turn: f32, dice: &mut Dice) {
    let head = &look.build.head;
    let shift = turn * if stand(head.ears) { -0.12 } else { 0.06 };
    let droop = if stand(head.ears) { dice.range(-4.0, 5.0) } else { dice.range(-2.0, 3.0) };
    for side in [-1.0, 1.0] {
        canvas.placed((shift, 0.0), (side, 1.0), |canvas| {
            canvas.turned((head.temple * 0.7, -head.crown * 0.6), droop, |canvas| ear(canvas, look));
        });
    }
}

fn ear(canvas: &mut Canvas, look: &Look) {
    let (head, colour) = (&look.build.head, ear_colour(look));
    let shape = shape(head, look.build.edge);
    canvas.fill(&shape, colour);
    match head.ears {
        Ears::Pricked | Ears::Bat | Ears::Butterfly => {
            canvas.inside(&shape, |canvas| canvas.fill(&inner(head), lining(look)));
        }
        Ears::Tipped => canvas.fill(&fold(head), shade(colour, 0.2)),
        Ears::Button | Ears::Rose => canvas.inside(&shape, |canvas| canvas.wash(&inner(head), hex(0x1c_1220), 0.14)),
        Ears::Drop | Ears::Long | Ears::Feathered => canvas.inside(&shape, |canvas| {
            canvas.wash(&crease(head), shade(colour, 0.5), 0.28);
        }),
    }
}

fn ear_colour(look: &Look) -> Colour {
    let (coat, ears) = (&look.coat, look.build.head.ears);
    if coat.ears == coat.base && !stand(ears) {
        return shade(coat.base, 0.13);
    }
    if feathered(ears) { shade(coat.ears, 0.08) } else { coat.ears }
}

fn lining(look: &Look) -> Colour {
    let ears = look.coat.ears;
    if ears.luma() < 0.3 { ears.mix(hex(0xb0_7c78), 0.5) } else { hex(0xe2_aa9e).mix(ears, 0.25) }
}

/// The points of the right ear from its inner root on, and its edge.
fn shape(head: &Head, fur: Edge) -> Shape {
    let (t, c) = (head.temple, head.crown);
    let (w, l) = head.ear;
    let smooth = |points: &[Point]| outline(points, Edge::Smooth);
    match head.ears {
        Ears::Pricked => pricked(head, 1.0),
        Ears::Tipped => smooth(&[
            (t * 0.2, -c * 0.7),
            (t * 0.34, -c * 1.25),
            (t * 0.74, -c * 1.52 * l),
            (t * 1.02, -c * 1.2),
            (t * 0.98, -c * 0.4),
        ]),
        Ears::Bat => smooth(&[
            (t * 0.34, -c * 0.78),
            (t * 0.5, -c * 1.4 * l),
            (t * 0.8, -c * 1.78 * l),
            (t * (0.72 + 0.48 * w), -c * 1.42 * l),
            (t * 1.06, -c * 0.4),
        ]),
        Ears::Butterfly => outline(
            &[
                (t * 0.4, -c * 0.85),
                (t * 0.66, -c * 1.6),
                (t * 1.35, -c * 1.9),
                (t * 2.05, -c * 1.3),
                (t * 1.95, -c * 0.35),
                (t * 1.0, -c * 0.2),
            ],
            fur,
        ),
        Ears::Button => smooth(&[
            (t * 0.38, -c * 0.98),
            (t * 0.86, -c * 1.12),
            (t * (1.0 + 0.2 * w), -c * 0.8),
            (t * (0.92 + 0.22 * w), -c * 0.06 * l),
            (t * 0.72, -c * 0.42),
        ]),
        Ears::Rose => smooth(&[
            (t * 0.5, -c * 0.78),
            (t * 0.98, -c * 1.1),
            (t * 1.42, -c * 0.98),
            (t * 1.5, -c * 0.62),
            (t * 1.18, -c * 0.58),
            (t * 0.86, -c * 0.24),
        ]),
        Ears::Drop => smooth(&[
            (t * 0.56, -c * 0.88),
            (t * 1.02, -c * 0.92),
            (t * (1.1 + 0.26 * w), -c * 0.36),
            (t * (1.06 + 0.3 * w), 30.0 * l),
            (t * 1.12, 58.0 * l),
            (t * 0.9, 16.0 * l),
        ]),
        Ears::Long => hanging(head, Edge::Smooth),
        Ears::Feathered => hanging(head, fur),
    }
}

fn hanging(head: &Head, edge: Edge) -> Shape {
    let (t, c) = (head.temple, head.crown);
    let (w, l) = head.ear;
    outline(
        &[
            (t * 0.6, -c * 0.72),
            (t * 1.02, -c * 0.74),
            (t * (1.0 + 0.34 * w), -c * 0.1),
            (t * (1.02 + 0.46 * w), 72.0 * l),
            (t * (0.98 + 0.24 * w), 116.0 * l),
            (t * 0.92, 90.0 * l),
            (t * 0.84, 10.0),
        ],
        edge,
    )
}

fn pricked(head: &Head, scale: f32) -> Shape {
    let (t, c) = (head.temple, head.crown);
    let (w, l) = head.ear;
    let tip = (t * 0.84 * w.max(0.9), -c * 0.75 - 86.0 * l);
    let centre = (t * 0.66, -c * 0.75 - 26.0 * l);
    let points = [
        (t * 0.16 / w.max(1.0), -c * 0.72),
        (t * 0.4, -c * 0.86 - 34.0 * l),
        (tip.0 - 5.0, tip.1 + 5.0),
        tip,
        (tip.0 + 4.0, tip.1 + 7.0),
        (t * (0.82 + 0.2 * w), -c * 0.7 - 24.0 * l),
        (t * 1.03, -c * 0.24),
    ];
    outline(&points.map(|(x, y)| (centre.0 + (x - centre.0) * scale, centre.1 + (y - centre.1) * scale)), Edge::Smooth)
}

/// What is seen of the inside of the ear.
fn inner(head: &Head) -> Shape {
    let (t, c) = (head.temple, head.crown);
    let l = head.ear.1;
    match head.ears {
        Ears::Pricked => pricked(head, 0.62),
        Ears::Bat => outline(
            &[
                (t * 0.58, -c * 0.8),
                (t * 0.64, -c * 1.35 * l),
                (t * 0.82, -c * 1.56 * l),
                (t * 0.98, -c * 1.3 * l),
                (t * 0.96, -c * 0.6),
            ],
            Edge::Smooth,
        ),
        Ears::Butterfly => outline(
            &[(t * 0.8, -c * 0.8), (t * 1.0, -c * 1.4), (t * 1.4, -c * 1.5), (t * 1.6, -c * 1.05), (t * 1.3, -c * 0.6)],
            Edge::Smooth,
        ),
        _ => polygon(&[(t * 0.3, -c * 0.9), (t * 1.6, -c * 1.05), (t * 1.5, -c * 0.82), (t * 0.6, -c * 0.72)]),
    }
}

/// The part of a tipped ear that hangs over.
fn fold(head: &Head) -> Shape {
    let (t, c) = (head.temple, head.crown);
    outline(
        &[
            (t * 0.4, -c * 1.3),
            (t * 0.74, -c * 1.55),
            (t * 1.06, -c * 1.22),
            (t * 1.0, -c * 0.92),
            (t * 0.7, -c * 1.16),
        ],
        Edge::Smooth,
    )
}

/// The shadow along the fold of a hanging ear.
fn crease(head: &Head) -> Shape {
    let (t, c) = (head.temple, head.crown);
    outline(
        &[
            (t * 0.5, -c * 0.9),
            (t * 0.98, -c * 0.7),
            (t * 1.0, 10.0),
            (t * 0.98, 120.0),
            (t * 0.7, 110.0),
            (t * 0.7, -10.0),
        ],
        Edge::Smooth,
    )
}
