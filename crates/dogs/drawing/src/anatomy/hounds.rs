//! Builds of hounds and terriers.

use super::working::SPITZ;
use super::{Build, Ears, HEAD, Hair, Head, RETRIEVER, Tail};
use crate::shape::Edge;

pub(crate) const HOUND: Build = Build {
    head: Head {
        temple: 86.0,
        cheek: 82.0,
        jaw: 56.0,
        crown: 94.0,
        muzzle: 47.0,
        nose_y: 58.0,
        ears: Ears::Long,
        eye: 17.0,
        jowls: 6.0,
        ..HEAD
    },
    length: 222.0,
    legs: 100.0,
    depth: 102.0,
    tail: Tail::Straight,
    head_scale: 0.66,
    ..RETRIEVER
};

pub(crate) const BASSET: Build = Build {
    head: Head { ear: (1.12, 1.4), jowls: 22.0, wrinkles: 1, eye: 14.0, ..HOUND.head },
    length: 270.0,
    legs: 50.0,
    bone: 22.0,
    ..HOUND
};

pub(crate) const BLOODHOUND: Build = Build {
    head: Head { ear: (1.1, 1.35), jowls: 26.0, wrinkles: 3, eye: 13.0, ..HOUND.head },
    length: 240.0,
    legs: 112.0,
    bone: 22.0,
    ..HOUND
};

pub(crate) const DACHSHUND: Build = Build {
    head: Head {
        temple: 78.0,
        cheek: 74.0,
        jaw: 44.0,
        chin: 120.0,
        muzzle: 38.0,
        nose_y: 66.0,
        nose: 19.0,
        ears: Ears::Long,
        ear: (0.92, 0.86),
        eye: 16.0,
        ..HEAD
    },
    length: 318.0,
    depth: 86.0,
    legs: 40.0,
    bone: 17.0,
    neck: 50.0,
    tail: Tail::Whip,
    head_scale: 0.64,
    ..RETRIEVER
};

pub(crate) const SIGHTHOUND: Build = Build {
    head: Head {
        temple: 66.0,
        cheek: 62.0,
        jaw: 35.0,
        crown: 78.0,
        chin: 128.0,
        muzzle: 30.0,
        nose_y: 78.0,
        nose: 17.0,
        eye_x: 38.0,
        eye: 15.0,
        ears: Ears::Rose,
        ..HEAD
    },
    length: 235.0,
    depth: 104.0,
    legs: 150.0,
    bone: 13.0,
    neck: 74.0,
    tuck: 0.52,
    tail: Tail::Whip,
    head_scale: 0.6,
    ..RETRIEVER
};

pub(crate) const SILKEN: Build = Build {
    head: Head { ears: Ears::Feathered, ear: (0.85, 1.1), temple: 70.0, ..SIGHTHOUND.head },
    edge: Edge::Tufted(13.0),
    tail: Tail::Plumed,
    bone: 15.0,
    tuck: 0.4,
    ..SIGHTHOUND
};

pub(crate) const WOLFHOUND: Build = Build {
    head: Head {
        temple: 74.0,
        cheek: 72.0,
        jaw: 44.0,
        muzzle: 38.0,
        hair: Hair::Beard,
        ears: Ears::Rose,
        ..SIGHTHOUND.head
    },
    edge: Edge::Tufted(12.0),
    bone: 17.0,
    tuck: 0.36,
    ..SIGHTHOUND
};

pub(crate) const TERRIER: Build = Build {
    head: Head {
        temple: 72.0,
        cheek: 72.0,
        jaw: 60.0,
        crown: 82.0,
        chin: 112.0,
        muzzle: 48.0,
        nose_y: 62.0,
        eye_x: 38.0,
        eye: 13.0,
        ears: Ears::Button,
        hair: Hair::Beard,
        ..HEAD
    },
    edge: Edge::Tufted(9.0),
    length: 196.0,
    depth: 98.0,
    legs: 104.0,
    tail: Tail::Stub,
    head_scale: 0.68,
    ..RETRIEVER
};

pub(crate) const RUSSELL: Build = Build {
    head: Head {
        temple: 80.0,
        cheek: 80.0,
        jaw: 48.0,
        muzzle: 38.0,
        nose_y: 54.0,
        nose: 19.0,
        chin: 104.0,
        eye: 16.0,
        ears: Ears::Button,
        ..HEAD
    },
    length: 190.0,
    depth: 90.0,
    legs: 84.0,
    bone: 14.0,
    tail: Tail::Stub,
    head_scale: 0.7,
    ..RETRIEVER
};

pub(crate) const SCOTTIE: Build = Build {
    head: Head {
        temple: 82.0,
        cheek: 92.0,
        jaw: 72.0,
        chin: 106.0,
        muzzle: 44.0,
        nose_y: 46.0,
        nose: 21.0,
        eye_x: 36.0,
        eye: 14.0,
        ears: Ears::Pricked,
        ear: (0.78, 0.88),
        hair: Hair::Beard,
        ..HEAD
    },
    edge: Edge::Tufted(17.0),
    length: 196.0,
    depth: 102.0,
    legs: 46.0,
    tail: Tail::Straight,
    head_scale: 0.76,
    ..RETRIEVER
};

pub(crate) const SCHNAUZER: Build = Build {
    head: Head {
        temple: 78.0,
        cheek: 80.0,
        jaw: 70.0,
        chin: 116.0,
        nose_y: 54.0,
        ears: Ears::Button,
        hair: Hair::Beard,
        eye: 14.0,
        ..TERRIER.head
    },
    ..TERRIER
};

pub(crate) const BULL: Build = Build {
    head: Head {
        temple: 98.0,
        cheek: 110.0,
        jaw: 76.0,
        chin: 108.0,
        muzzle: 56.0,
        nose_y: 50.0,
        nose: 24.0,
        ears: Ears::Rose,
        eye: 13.0,
        eye_x: 50.0,
        ..HEAD
    },
    length: 226.0,
    depth: 116.0,
    legs: 84.0,
    bone: 21.0,
    tuck: 0.24,
    tail: Tail::Whip,
    ..RETRIEVER
};

pub(crate) const SHIBA: Build = Build {
    head: Head {
        cheek: 110.0,
        jaw: 64.0,
        chin: 98.0,
        nose_y: 46.0,
        nose: 18.0,
        muzzle: 38.0,
        ears: Ears::Pricked,
        ear: (0.95, 0.82),
        eye: 13.0,
        ..HEAD
    },
    edge: Edge::Smooth,
    length: 205.0,
    depth: 104.0,
    legs: 98.0,
    head_scale: 0.66,
    ..SPITZ
};
