//! Builds of dogs that work: sledge, herd, guard and gun dogs.

use super::{Build, Ears, HEAD, Hair, Head, RETRIEVER, Tail};
use crate::shape::Edge;

pub(crate) const SETTER: Build = Build {
    edge: Edge::Tufted(15.0),
    tail: Tail::Plumed,
    head: Head { ears: Ears::Feathered, ear: (0.95, 0.8), ..HEAD },
    ..RETRIEVER
};

pub(crate) const MOUNTAIN: Build = Build {
    head: Head { temple: 102.0, cheek: 106.0, jaw: 72.0, muzzle: 58.0, nose: 26.0, jowls: 8.0, ..HEAD },
    depth: 128.0,
    bone: 24.0,
    edge: Edge::Tufted(17.0),
    tail: Tail::Plumed,
    ..RETRIEVER
};

pub(crate) const SPITZ: Build = Build {
    head: Head {
        temple: 92.0,
        cheek: 108.0,
        jaw: 62.0,
        chin: 106.0,
        muzzle: 42.0,
        nose_y: 52.0,
        nose: 20.0,
        ears: Ears::Pricked,
        ..HEAD
    },
    edge: Edge::Tufted(18.0),
    depth: 118.0,
    length: 232.0,
    tail: Tail::Curled,
    ..RETRIEVER
};

pub(crate) const SHEPHERD: Build = Build {
    head: Head {
        temple: 84.0,
        cheek: 86.0,
        jaw: 48.0,
        chin: 120.0,
        muzzle: 40.0,
        nose_y: 64.0,
        nose: 20.0,
        ears: Ears::Pricked,
        ear: (1.12, 1.3),
        ..HEAD
    },
    length: 252.0,
    depth: 106.0,
    edge: Edge::Tufted(9.0),
    tail: Tail::Plumed,
    ..RETRIEVER
};

pub(crate) const COLLIE: Build = Build {
    head: Head {
        temple: 82.0,
        cheek: 92.0,
        jaw: 48.0,
        chin: 116.0,
        muzzle: 38.0,
        nose_y: 62.0,
        nose: 19.0,
        ears: Ears::Tipped,
        ..HEAD
    },
    edge: Edge::Tufted(19.0),
    tail: Tail::Plumed,
    depth: 110.0,
    length: 240.0,
    ..RETRIEVER
};

pub(crate) const CORGI: Build = Build {
    head: Head {
        temple: 90.0,
        cheek: 106.0,
        jaw: 56.0,
        chin: 104.0,
        muzzle: 38.0,
        nose_y: 52.0,
        nose: 18.0,
        ears: Ears::Pricked,
        ear: (1.18, 1.22),
        eye: 15.0,
        ..HEAD
    },
    length: 268.0,
    depth: 98.0,
    legs: 46.0,
    bone: 17.0,
    edge: Edge::Tufted(9.0),
    tail: Tail::Stub,
    head_scale: 0.7,
    ..RETRIEVER
};

pub(crate) const MASTIFF: Build = Build {
    head: Head {
        temple: 106.0,
        cheek: 110.0,
        jaw: 86.0,
        muzzle: 68.0,
        nose_y: 54.0,
        nose: 28.0,
        eye: 13.0,
        chin: 116.0,
        jowls: 20.0,
        wrinkles: 2,
        ..HEAD
    },
    length: 252.0,
    depth: 132.0,
    legs: 116.0,
    bone: 25.0,
    ..RETRIEVER
};

pub(crate) const ROTTWEILER: Build = Build {
    head: Head { temple: 102.0, cheek: 104.0, jaw: 72.0, muzzle: 56.0, nose: 26.0, jowls: 8.0, eye: 14.0, ..HEAD },
    depth: 126.0,
    bone: 23.0,
    legs: 106.0,
    ..RETRIEVER
};

pub(crate) const BOXER: Build = Build {
    head: Head {
        temple: 90.0,
        cheek: 94.0,
        jaw: 82.0,
        muzzle: 62.0,
        nose_y: 44.0,
        nose: 25.0,
        chin: 104.0,
        jowls: 14.0,
        wrinkles: 1,
        ear: (0.9, 0.8),
        ..HEAD
    },
    tuck: 0.3,
    depth: 116.0,
    tail: Tail::Stub,
    ..RETRIEVER
};

pub(crate) const PINSCHER: Build = Build {
    head: Head {
        temple: 72.0,
        cheek: 72.0,
        jaw: 44.0,
        chin: 126.0,
        muzzle: 38.0,
        nose_y: 72.0,
        nose: 20.0,
        eye_x: 40.0,
        eye: 13.0,
        ears: Ears::Pricked,
        ear: (0.72, 1.5),
        ..HEAD
    },
    length: 224.0,
    depth: 110.0,
    legs: 132.0,
    bone: 16.0,
    neck: 66.0,
    tuck: 0.34,
    tail: Tail::Stub,
    ..RETRIEVER
};

pub(crate) const POINTER: Build = Build {
    head: Head {
        temple: 82.0,
        cheek: 80.0,
        jaw: 52.0,
        chin: 120.0,
        muzzle: 44.0,
        nose_y: 64.0,
        ear: (1.0, 1.12),
        ..HEAD
    },
    length: 238.0,
    depth: 108.0,
    legs: 130.0,
    bone: 16.0,
    neck: 60.0,
    tuck: 0.32,
    tail: Tail::Whip,
    ..RETRIEVER
};

pub(crate) const SHAGGY: Build = Build {
    head: Head {
        temple: 104.0,
        cheek: 116.0,
        jaw: 94.0,
        chin: 122.0,
        muzzle: 54.0,
        nose: 25.0,
        ears: Ears::Feathered,
        ear: (0.9, 0.72),
        hair: Hair::Fringe,
        ..HEAD
    },
    edge: Edge::Tufted(26.0),
    depth: 128.0,
    length: 224.0,
    legs: 92.0,
    bone: 25.0,
    tail: Tail::Stub,
    ..RETRIEVER
};

pub(crate) const SPANIEL: Build = Build {
    head: Head {
        temple: 84.0,
        cheek: 82.0,
        jaw: 58.0,
        crown: 96.0,
        muzzle: 48.0,
        nose_y: 56.0,
        eye: 17.0,
        ears: Ears::Feathered,
        ear: (1.12, 1.12),
        jowls: 8.0,
        ..HEAD
    },
    edge: Edge::Tufted(13.0),
    length: 212.0,
    legs: 84.0,
    depth: 106.0,
    tail: Tail::Plumed,
    head_scale: 0.68,
    ..RETRIEVER
};

pub(crate) const WILD: Build = Build {
    head: Head {
        ears: Ears::Bat,
        ear: (1.15, 1.0),
        temple: 84.0,
        cheek: 88.0,
        jaw: 56.0,
        muzzle: 42.0,
        chin: 112.0,
        nose_y: 58.0,
        ..HEAD
    },
    legs: 128.0,
    depth: 98.0,
    bone: 15.0,
    tuck: 0.3,
    tail: Tail::Plumed,
    ..RETRIEVER
};
