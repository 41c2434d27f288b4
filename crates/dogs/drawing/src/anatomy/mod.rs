//! How dogs are built: head, ears, trunk, legs, tail and fur, for each family of breeds.
//!
//! Heads are measured from between the eyes, about 100 to the temple; trunks from the ground.

pub(crate) mod company;
pub(crate) mod hounds;
pub(crate) mod working;

use super::shape::Edge;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ears {
    /// Upright triangles.
    Pricked,
    /// Upright and round, as of a bat.
    Bat,
    /// Upright with the tips folded over.
    Tipped,
    /// Small, folded forward at the brow.
    Button,
    /// Small, folded back.
    Rose,
    /// Hanging at the side of the head.
    Drop,
    /// Hanging below the jaw.
    Long,
    /// Hanging, with wavy hair.
    Feathered,
    /// Spread like wings, with long hair.
    Butterfly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    Curled,
    Plumed,
    Straight,
    Whip,
    Stub,
    Pompon,
}

/// Hair outside the outline of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hair {
    None,
    /// Beard and brows.
    Beard,
    /// A ball of curls between the ears.
    Topknot,
    /// Strands that part on the brow and hang at both sides.
    Curtain,
    /// A fringe over the eyes.
    Fringe,
}

/// A head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Half width at the temples, at the cheeks and at the jaw.
    pub(crate) temple: f32,
    pub(crate) cheek: f32,
    pub(crate) jaw: f32,
    /// From the eyes up to the crown and down to the chin.
    pub(crate) crown: f32,
    pub(crate) chin: f32,
    /// Half width of the muzzle at the nose, and how far down the nose is.
    pub(crate) muzzle: f32,
    pub(crate) nose_y: f32,
    pub(crate) nose: f32,
    /// From the axis to an eye, and the eye's radius.
    pub(crate) eye_x: f32,
    pub(crate) eye: f32,
    pub(crate) ears: Ears,
    /// Width and length of an ear, 1.0 being usual for its kind.
    pub(crate) ear: (f32, f32),
    pub(crate) hair: Hair,
    /// Folds on the brow and next to the muzzle, 0 to 3.
    pub(crate) wrinkles: u8,
    /// How far the lips hang below the jaw.
    pub(crate) jowls: f32,
}

/// A complete dog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build {
    pub(crate) head: Head,
    pub(crate) edge: Edge,
    /// Size of the head relative to the trunk.
    pub(crate) head_scale: f32,
    pub(crate) length: f32,
    pub(crate) depth: f32,
    pub(crate) legs: f32,
    /// Half width of a leg.
    pub(crate) bone: f32,
    pub(crate) neck: f32,
    /// How far the belly is drawn up, as a fraction of the depth.
    pub(crate) tuck: f32,
    pub(crate) tail: Tail,
}

const HEAD: Head = Head {
    temple: 92.0,
    cheek: 92.0,
    jaw: 58.0,
    crown: 92.0,
    chin: 118.0,
    muzzle: 50.0,
    nose_y: 56.0,
    nose: 23.0,
    eye_x: 46.0,
    eye: 15.0,
    ears: Ears::Drop,
    ear: (1.0, 1.0),
    hair: Hair::None,
    wrinkles: 0,
    jowls: 0.0,
};

/// Labradors and their like; the others differ from it.
pub(crate) const RETRIEVER: Build = Build {
    head: HEAD,
    edge: Edge::Smooth,
    head_scale: 0.62,
    length: 250.0,
    depth: 112.0,
    legs: 112.0,
    bone: 19.0,
    neck: 46.0,
    tuck: 0.14,
    tail: Tail::Straight,
};
