//! Builds of companion dogs.

use super::working::SPITZ;
use super::{Build, Ears, HEAD, Hair, Head, RETRIEVER, Tail};
use crate::shape::Edge;

pub(crate) const POM: Build = Build {
    head: Head {
        temple: 96.0,
        cheek: 122.0,
        jaw: 84.0,
        chin: 106.0,
        muzzle: 31.0,
        nose_y: 36.0,
        nose: 15.0,
        eye_x: 40.0,
        eye: 17.0,
        ears: Ears::Pricked,
        ear: (0.7, 0.6),
        ..HEAD
    },
    edge: Edge::Tufted(25.0),
    length: 158.0,
    depth: 118.0,
    legs: 54.0,
    bone: 14.0,
    neck: 24.0,
    head_scale: 0.78,
    ..SPITZ
};

pub(crate) const BULLDOG: Build = Build {
    head: Head {
        temple: 106.0,
        cheek: 118.0,
        jaw: 102.0,
        crown: 84.0,
        chin: 106.0,
        muzzle: 78.0,
        nose_y: 26.0,
        nose: 25.0,
        eye_x: 56.0,
        eye: 15.0,
        ears: Ears::Rose,
        wrinkles: 3,
        jowls: 22.0,
        ..HEAD
    },
    length: 218.0,
    depth: 126.0,
    legs: 56.0,
    bone: 25.0,
    neck: 22.0,
    tail: Tail::Stub,
    head_scale: 0.72,
    ..RETRIEVER
};

pub(crate) const BAT: Build = Build {
    head: Head {
        temple: 96.0,
        cheek: 102.0,
        jaw: 86.0,
        crown: 84.0,
        chin: 98.0,
        muzzle: 62.0,
        nose_y: 26.0,
        nose: 21.0,
        eye_x: 54.0,
        eye: 19.0,
        ears: Ears::Bat,
        wrinkles: 1,
        jowls: 10.0,
        ..HEAD
    },
    length: 186.0,
    depth: 106.0,
    legs: 62.0,
    neck: 22.0,
    tail: Tail::Stub,
    head_scale: 0.76,
    ..RETRIEVER
};

pub(crate) const PUG: Build = Build {
    head: Head {
        temple: 102.0,
        cheek: 106.0,
        jaw: 88.0,
        crown: 88.0,
        chin: 100.0,
        muzzle: 56.0,
        nose_y: 26.0,
        nose: 19.0,
        eye_x: 54.0,
        eye: 21.0,
        ears: Ears::Button,
        wrinkles: 3,
        jowls: 8.0,
        ear: (1.0, 0.95),
        ..HEAD
    },
    length: 178.0,
    depth: 108.0,
    legs: 56.0,
    neck: 20.0,
    tail: Tail::Curled,
    head_scale: 0.78,
    ..RETRIEVER
};

pub(crate) const POODLE: Build = Build {
    head: Head {
        temple: 74.0,
        cheek: 72.0,
        jaw: 42.0,
        chin: 118.0,
        muzzle: 34.0,
        nose_y: 66.0,
        nose: 18.0,
        eye_x: 40.0,
        ears: Ears::Feathered,
        ear: (1.05, 0.95),
        hair: Hair::Topknot,
        ..HEAD
    },
    edge: Edge::Curly(14.0),
    length: 196.0,
    depth: 106.0,
    legs: 118.0,
    bone: 17.0,
    neck: 62.0,
    tail: Tail::Pompon,
    head_scale: 0.62,
    ..RETRIEVER
};

pub(crate) const TEDDY: Build = Build {
    head: Head {
        temple: 98.0,
        cheek: 108.0,
        jaw: 88.0,
        chin: 106.0,
        crown: 98.0,
        muzzle: 42.0,
        nose_y: 38.0,
        nose: 18.0,
        eye_x: 42.0,
        eye: 17.0,
        ears: Ears::Feathered,
        ear: (0.95, 0.7),
        ..HEAD
    },
    edge: Edge::Curly(14.0),
    length: 182.0,
    depth: 110.0,
    legs: 64.0,
    bone: 19.0,
    neck: 26.0,
    tail: Tail::Pompon,
    head_scale: 0.74,
    ..RETRIEVER
};

pub(crate) const SILKY_TOY: Build = Build {
    head: Head {
        hair: Hair::Curtain,
        temple: 94.0,
        cheek: 104.0,
        jaw: 84.0,
        nose_y: 32.0,
        muzzle: 40.0,
        nose: 17.0,
        eye: 19.0,
        ear: (1.0, 0.8),
        ..TEDDY.head
    },
    edge: Edge::Tufted(20.0),
    length: 186.0,
    legs: 40.0,
    tail: Tail::Curled,
    ..TEDDY
};

pub(crate) const YORKIE: Build = Build {
    head: Head {
        temple: 80.0,
        cheek: 88.0,
        jaw: 68.0,
        nose_y: 40.0,
        muzzle: 34.0,
        chin: 98.0,
        eye_x: 38.0,
        eye: 16.0,
        nose: 15.0,
        ears: Ears::Pricked,
        ear: (0.75, 0.78),
        hair: Hair::Curtain,
        ..HEAD
    },
    head_scale: 0.7,
    ..SILKY_TOY
};

pub(crate) const CHIHUAHUA: Build = Build {
    head: Head {
        temple: 96.0,
        cheek: 88.0,
        jaw: 44.0,
        crown: 96.0,
        chin: 86.0,
        muzzle: 31.0,
        nose_y: 42.0,
        nose: 14.0,
        eye_x: 48.0,
        eye: 22.0,
        ears: Ears::Pricked,
        ear: (1.3, 1.22),
        ..HEAD
    },
    length: 158.0,
    depth: 76.0,
    legs: 72.0,
    bone: 11.0,
    neck: 34.0,
    tuck: 0.28,
    tail: Tail::Whip,
    head_scale: 0.74,
    ..RETRIEVER
};

pub(crate) const PAPILLON: Build = Build {
    head: Head {
        temple: 80.0,
        cheek: 78.0,
        jaw: 46.0,
        crown: 84.0,
        chin: 92.0,
        muzzle: 30.0,
        nose_y: 46.0,
        nose: 15.0,
        eye_x: 40.0,
        eye: 17.0,
        ears: Ears::Butterfly,
        ..HEAD
    },
    edge: Edge::Tufted(14.0),
    length: 170.0,
    depth: 84.0,
    legs: 66.0,
    bone: 12.0,
    tail: Tail::Plumed,
    head_scale: 0.72,
    ..RETRIEVER
};

pub(crate) const PEI: Build = Build {
    head: Head {
        temple: 98.0,
        cheek: 106.0,
        jaw: 96.0,
        chin: 112.0,
        muzzle: 74.0,
        nose_y: 48.0,
        nose: 26.0,
        eye: 11.0,
        ears: Ears::Button,
        ear: (0.72, 0.62),
        wrinkles: 3,
        jowls: 14.0,
        ..HEAD
    },
    tail: Tail::Curled,
    length: 222.0,
    depth: 118.0,
    legs: 92.0,
    bone: 21.0,
    ..RETRIEVER
};
