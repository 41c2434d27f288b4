//! An image being painted: fills and strokes under a transform and a clip.

use tiny_skia::{
    FillRule, GradientStop, LineCap, LinearGradient, Mask, Paint, Pixmap, Point as SkPoint, RadialGradient, Shader,
    SpreadMode, Stroke, Transform,
};

use super::colour::Colour;
use super::shape::{Point, Shape};

/// An image being painted.
pub(super) struct Canvas {
    pixmap: Pixmap,
    transform: Transform,
    clip: Option<Mask>,
}

impl Canvas {
    /// An empty image; `None` when it has no size.
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        Some(Self { pixmap: Pixmap::new(width, height)?, transform: Transform::identity(), clip: None })
    }

    /// The image as rows of red, green and blue. What was not painted is black.
    pub(super) fn into_rgb(self) -> Vec<u8> {
        self.pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    pub(super) fn fill(&mut self, shape: &Shape, colour: Colour) {
        self.wash(shape, colour, 1.0);
    }

    /// Fills with a colour that lets `1 - opacity` of what is below through.
    pub(super) fn wash(&mut self, shape: &Shape, colour: Colour, opacity: f32) {
        self.paint(shape, Shader::SolidColor(sk(colour, opacity)));
    }

    /// Fills with colours that change from `from` to `to`.
    pub(super) fn gradient(&mut self, shape: &Shape, from: (Point, Colour), to: (Point, Colour)) {
        let stops = vec![GradientStop::new(0.0, sk(from.1, 1.0)), GradientStop::new(1.0, sk(to.1, 1.0))];
        let (start, end) = (point(from.0), point(to.0));
        if let Some(shader) = LinearGradient::new(start, end, stops, SpreadMode::Pad, Transform::identity()) {
            self.paint(shape, shader);
        }
    }

    /// Fills with a light that fades from the centre.
    pub(super) fn glow(&mut self, shape: &Shape, centre: Point, radius: f32, colour: Colour, opacity: f32) {
        let stops = vec![GradientStop::new(0.0, sk(colour, opacity)), GradientStop::new(1.0, sk(colour, 0.0))];
        let centre = point(centre);
        let shader = RadialGradient::new(centre, 0.0, centre, radius, stops, SpreadMode::Pad, Transform::identity());
        if let Some(shader) = shader {
            self.paint(shape, shader);
        }
    }

    pub(super) fn stroke(&mut self, shape: &Shape, colour: Colour, width: f32) {
        let Some(path) = &shape.0 else { return };
        let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        let paint = solid(Shader::SolidColor(sk(colour, 1.0)));
        self.pixmap.stroke_path(path, &paint, &stroke, self.transform, self.clip.as_ref());
    }

    /// Paints with the origin at `at`, `scale` times as large; a negative `scale.0` mirrors.
    pub(super) fn placed(&mut self, at: Point, scale: (f32, f32), paint: impl FnOnce(&mut Self)) {
        self.transformed(Transform::from_translate(at.0, at.1).pre_scale(scale.0, scale.1), paint);
    }

    /// Paints turned by `degrees` around `pivot`.
    pub(super) fn turned(&mut self, pivot: Point, degrees: f32, paint: impl FnOnce(&mut Self)) {
        self.transformed(Transform::from_rotate_at(degrees, pivot.0, pivot.1), paint);
    }

    fn transformed(&mut self, by: Transform, paint: impl FnOnce(&mut Self)) {
        let outer = self.transform;
        self.transform = outer.pre_concat(by);
        paint(self);
        self.transform = outer;
    }

    /// Paints only inside the shape.
    pub(super) fn inside(&mut self, shape: &Shape, paint: impl FnOnce(&mut Self)) {
        let (Some(path), Some(mut mask)) = (&shape.0, Mask::new(self.pixmap.width(), self.pixmap.height())) else {
            return;
        };
        match &self.clip {
            Some(outer) => {
                mask.clone_from(outer);
                mask.intersect_path(path, FillRule::Winding, true, self.transform);
            }
            None => mask.fill_path(path, FillRule::Winding, true, self.transform),
        }
        let outer = self.clip.replace(mask);
        paint(self);
        self.clip = outer;
    }

    fn paint(&mut self, shape: &Shape, shader: Shader<'_>) {
        let Some(path) = &shape.0 else { return };
        self.pixmap.fill_path(path, &solid(shader), FillRule::Winding, self.transform, self.clip.as_ref());
    }
}

fn solid(shader: Shader<'_>) -> Paint<'_> {
    Paint { shader, anti_alias: true, ..Paint::default() }
}

fn sk(colour: Colour, opacity: f32) -> tiny_skia::Color {
    let mut colour = tiny_skia::Color::from_rgba8(colour.0, colour.1, colour.2, 255);
    colour.set_alpha(opacity);
    colour
}

fn point((x, y): Point) -> SkPoint {
    SkPoint::from_xy(x, y)
}
