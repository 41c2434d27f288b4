//! Colours and markings of coats.

use super::colour::{
    BLACK, BLUE, CHOCOLATE, CREAM, Colour, FAWN, GOLD, GREY, LIVER, PINK, RED, RUST, SABLE, SILVER, STEEL, TAN, TAUPE,
    WHEAT, WHITE, YELLOW, hex,
};

/// What the head shows over its ground colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Plain,
    /// A light face under a dark cap that ends in a point on the brow.
    Husky,
    /// A light stripe from crown to muzzle.
    Blaze,
    /// A dark muzzle.
    Mask,
    /// Light dots over the eyes, light muzzle and cheeks.
    Points,
    /// Light muzzle, cheeks and brows, fading.
    Light,
    /// A dark patch over one eye.
    Patch,
    /// Blaze and points together.
    Tricolour,
    /// Small dots.
    Spots,
    /// Clouds of the second colour.
    Merle,
    /// A darker cap on crown and ears.
    Cap,
}

/// What the trunk shows over its ground colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hide {
    Plain,
    /// Light chest, belly and feet.
    Bib,
    /// Light chest, collar and feet, as of a collie.
    Collar,
    /// A dark back.
    Saddle,
    Spots,
    /// Large irregular patches.
    Patches,
    /// Light legs and chest marks.
    Points,
    /// Fine ticking.
    Ticked,
    /// Dark stripes.
    Brindle,
    Merle,
    /// A ridge along the back.
    Ridge,
}

/// A coat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coat {
    /// The ground colour of the head, and of all else.
    pub(super) base: Colour,
    pub(super) trunk: Colour,
    /// The markings on the head and on the trunk.
    pub(super) mark: Colour,
    /// The third colour, where a marking has one.
    pub(super) third: Colour,
    pub(super) face: Face,
    pub(super) hide: Hide,
    pub(super) ears: Colour,
    pub(super) nose: Colour,
    pub(super) eyes: Colour,
}

pub(super) const BROWN_EYES: Colour = hex(0x4e_2f1c);
const AMBER_EYES: Colour = hex(0xa8_6f26);
const BLUE_EYES: Colour = hex(0x6f_b4dd);
const NOSE: Colour = hex(0x27_2226);

impl Default for Coat {
    fn default() -> Self {
        solid(TAN)
    }
}

/// One colour all over.
pub(super) const fn solid(base: Colour) -> Coat {
    Coat {
        base,
        trunk: base,
        mark: base,
        third: base,
        face: Face::Plain,
        hide: Hide::Plain,
        ears: base,
        nose: NOSE,
        eyes: BROWN_EYES,
    }
}

impl Coat {
    const fn face(self, face: Face, mark: Colour) -> Self {
        Self { mark, face, ..self }
    }

    const fn hide(self, hide: Hide, mark: Colour) -> Self {
        Self { hide, third: mark, ..self }
    }

    const fn trunk(self, trunk: Colour) -> Self {
        Self { trunk, ..self }
    }

    const fn ears(self, ears: Colour) -> Self {
        Self { ears, ..self }
    }

    const fn liver_nose(self) -> Self {
        Self { nose: hex(0x6e_4436), eyes: AMBER_EYES, ..self }
    }

    const fn eyes(self, eyes: Colour) -> Self {
        Self { eyes, ..self }
    }
}

const fn points(base: Colour, mark: Colour) -> Coat {
    solid(base).face(Face::Points, mark).hide(Hide::Points, mark)
}

const fn light(base: Colour, mark: Colour) -> Coat {
    solid(base).face(Face::Light, mark).hide(Hide::Bib, mark)
}

const fn masked(base: Colour) -> Coat {
    solid(base).face(Face::Mask, BLACK).ears(BLACK)
}

const fn blaze(base: Colour) -> Coat {
    solid(base).face(Face::Blaze, WHITE).hide(Hide::Bib, WHITE)
}

const fn husky(base: Colour) -> Coat {
    solid(base).face(Face::Husky, WHITE).hide(Hide::Bib, WHITE)
}

/// White, with a coloured patch on the head and patches on the trunk.
const fn pied(mark: Colour) -> Coat {
    solid(WHITE).face(Face::Patch, mark).hide(Hide::Patches, mark).ears(mark)
}

/// White, with a coloured head that a blaze parts.
const fn parti(mark: Colour) -> Coat {
    Coat {
        base: mark,
        trunk: WHITE,
        mark: WHITE,
        third: mark,
        face: Face::Blaze,
        hide: Hide::Patches,
        ears: mark,
        nose: NOSE,
        eyes: BROWN_EYES,
    }
}

const fn brindle(base: Colour) -> Coat {
    solid(base).face(Face::Mask, BLACK).hide(Hide::Brindle, BLACK)
}

pub(super) const BLACKS: &[Coat] = &[solid(BLACK)];
pub(super) const WHITES: &[Coat] = &[solid(WHITE), solid(hex(0xf4_ece0))];
pub(super) const GOLDEN: &[Coat] = &[solid(GOLD), solid(YELLOW), solid(hex(0xd9_a863))];
pub(super) const LABRADOR: &[Coat] =
    &[solid(YELLOW), solid(BLACK), solid(CHOCOLATE).liver_nose(), solid(hex(0xc6_8743))];
pub(super) const REDS: &[Coat] = &[solid(RED), solid(RUST)];
pub(super) const RED_LIVER: &[Coat] = &[solid(hex(0xa9_5f31)).liver_nose()];
pub(super) const LIVERS: &[Coat] = &[solid(LIVER).liver_nose(), solid(CHOCOLATE).liver_nose()];
pub(super) const GREYS: &[Coat] = &[solid(GREY), solid(SILVER), solid(STEEL)];
pub(super) const WEIMARANER: &[Coat] =
    &[solid(TAUPE).liver_nose().eyes(hex(0x9d_b4b8)), solid(hex(0xa0_948c)).liver_nose()];
pub(super) const BLUES: &[Coat] = &[solid(BLUE), solid(hex(0x4c_5563))];
pub(super) const WHEATEN: &[Coat] = &[solid(WHEAT), solid(hex(0xe2_cb9c))];
pub(super) const FAWNS: &[Coat] = &[solid(FAWN), solid(YELLOW), solid(BLACK), solid(GREY)];
pub(super) const HUSKY: &[Coat] =
    &[husky(STEEL).eyes(BLUE_EYES), husky(BLACK).eyes(BLUE_EYES), husky(hex(0x8d_5a3a)).eyes(BLUE_EYES), husky(GREY)];
pub(super) const MALAMUTE: &[Coat] = &[husky(hex(0x4f_4d52)), husky(hex(0x77_6a60)), husky(GREY)];
pub(super) const WOLF: &[Coat] = &[light(GREY, SILVER).ears(BLACK), light(hex(0x75_7378), SILVER).ears(BLACK)];
pub(super) const URAJIRO: &[Coat] = &[light(hex(0xc8_7a3c), CREAM), light(BLACK, CREAM), light(hex(0xd8_9a55), WHITE)];
pub(super) const CHOW: &[Coat] = &[solid(hex(0xa8_5c2c)), solid(YELLOW), solid(BLACK)];
pub(super) const POMS: &[Coat] = &[solid(hex(0xd9_8a43)), solid(CREAM), light(GOLD, CREAM), solid(BLACK)];
pub(super) const DINGO: &[Coat] = &[light(hex(0xc9_8d4e), CREAM), light(GOLD, WHITE)];
pub(super) const DHOLE: &[Coat] = &[light(hex(0xa8_5b2a), CREAM)];
pub(super) const GSD: &[Coat] = &[
    solid(hex(0xc0_854a)).face(Face::Mask, BLACK).hide(Hide::Saddle, BLACK).ears(hex(0x4b_3526)),
    solid(hex(0xa8_6a38)).face(Face::Mask, BLACK).hide(Hide::Saddle, BLACK).ears(BLACK),
];
pub(super) const MALINOIS: &[Coat] = &[masked(hex(0xc1_8449)), masked(hex(0xb2_713a))];
pub(super) const KELPIE: &[Coat] = &[points(BLACK, TAN), solid(RED), points(CHOCOLATE, TAN)];
pub(super) const HEELER: &[Coat] = &[
    solid(hex(0x78_8494)).face(Face::Points, TAN).hide(Hide::Ticked, STEEL).ears(BLACK),
    solid(hex(0xc4_8a62)).face(Face::Points, CREAM).hide(Hide::Ticked, RED).ears(RED),
];
pub(super) const BORDER_COLLIE: &[Coat] = &[
    solid(BLACK).face(Face::Blaze, WHITE).hide(Hide::Collar, WHITE),
    solid(LIVER).face(Face::Blaze, WHITE).hide(Hide::Collar, WHITE).liver_nose(),
];
pub(super) const LASSIE: &[Coat] = &[
    solid(hex(0xb5_783c)).face(Face::Blaze, WHITE).hide(Hide::Collar, WHITE),
    solid(SABLE).face(Face::Blaze, WHITE).hide(Hide::Collar, WHITE),
    solid(BLACK).face(Face::Tricolour, TAN).hide(Hide::Collar, WHITE),
];
pub(super) const AUSSIE: &[Coat] = &[
    solid(hex(0x93_9db0)).face(Face::Merle, hex(0x3d_4250)).hide(Hide::Merle, hex(0x3d_4250)).eyes(BLUE_EYES),
    solid(hex(0xcf_a384)).face(Face::Merle, hex(0x84_4a2b)).hide(Hide::Merle, hex(0x84_4a2b)).liver_nose(),
    solid(BLACK).face(Face::Tricolour, TAN).hide(Hide::Collar, WHITE),
];
pub(super) const BEAGLE: &[Coat] = &[
    solid(hex(0xb8_713b)).face(Face::Blaze, WHITE).hide(Hide::Saddle, BLACK),
    solid(hex(0xc8_8a50)).face(Face::Blaze, WHITE).hide(Hide::Saddle, hex(0x3c_2f2a)),
];
pub(super) const BLUETICK: &[Coat] =
    &[solid(hex(0x7c_8390)).face(Face::Points, TAN).hide(Hide::Ticked, BLACK).ears(BLACK)];
pub(super) const BLACK_TAN: &[Coat] = &[points(BLACK, hex(0xb2_6f38)), points(hex(0x3a_3134), TAN)];
pub(super) const DACHSHUND: &[Coat] =
    &[points(BLACK, hex(0xb2_6f38)), solid(hex(0x9a_5429)), points(CHOCOLATE, TAN), solid(hex(0xb8_7540))];
pub(super) const DOBERMAN: &[Coat] = &[points(BLACK, RUST), points(CHOCOLATE, TAN)];
pub(super) const BLOODHOUND: &[Coat] = &[solid(hex(0xa5_6433)).hide(Hide::Saddle, hex(0x4a_342a)).ears(hex(0x84_4c27))];
pub(super) const BASSET: &[Coat] =
    &[solid(hex(0xb0_6a37)).face(Face::Blaze, WHITE).hide(Hide::Saddle, BLACK), parti(hex(0xb8_7641))];
pub(super) const CORGI: &[Coat] =
    &[blaze(hex(0xd0_8a48)), blaze(hex(0xbb_7437)), solid(BLACK).face(Face::Tricolour, TAN).hide(Hide::Bib, WHITE)];
pub(super) const CARDIGAN: &[Coat] = &[
    blaze(hex(0xa8_6532)),
    solid(hex(0x8f_99aa)).face(Face::Merle, hex(0x3d_4250)).hide(Hide::Merle, hex(0x3d_4250)),
    blaze(BLACK),
];
pub(super) const GREYHOUND: &[Coat] =
    &[solid(FAWN), solid(BLUE), blaze(hex(0x55_5058)), brindle(hex(0xb0_8050)), pied(FAWN)];
pub(super) const SALUKI: &[Coat] = &[solid(CREAM), light(GOLD, CREAM), points(BLACK, TAN)];
pub(super) const BORZOI: &[Coat] = &[pied(GOLD), pied(hex(0x8d_8078)), solid(WHITE)];
pub(super) const AFGHAN: &[Coat] = &[masked(hex(0xdc_b67c)), masked(CREAM), solid(BLACK)];
pub(super) const MASTIFF: &[Coat] = &[masked(FAWN), masked(hex(0xc4_9158)), brindle(hex(0xa8_7c4c))];
pub(super) const DANE: &[Coat] = &[
    masked(FAWN),
    solid(WHITE).face(Face::Spots, BLACK).hide(Hide::Patches, BLACK).ears(BLACK),
    solid(BLUE),
    blaze(BLACK),
];
pub(super) const BOXER: &[Coat] =
    &[masked(hex(0xbd_7c42)).ears(hex(0xa4_6632)).hide(Hide::Bib, WHITE), brindle(hex(0xa0_6a3a))];
pub(super) const ST_BERNARD: &[Coat] = &[Coat { hide: Hide::Patches, ..blaze(hex(0xb0_6d38)) }];
pub(super) const BERNESE: &[Coat] = &[solid(BLACK).face(Face::Tricolour, hex(0xb2_6a34)).hide(Hide::Collar, WHITE)];
pub(super) const LEONBERG: &[Coat] = &[masked(hex(0xb9_7f42)), masked(hex(0xc8_9352))];
pub(super) const OVCHARKA: &[Coat] = &[light(hex(0x93_8a80), SILVER), masked(hex(0xb5_9a76)), solid(CREAM)];
pub(super) const NEWFIE: &[Coat] = &[solid(BLACK), solid(CHOCOLATE), Coat { hide: Hide::Patches, ..blaze(BLACK) }];
pub(super) const BULLDOG: &[Coat] = &[blaze(hex(0xc8_9159)), pied(hex(0xb5_7a45)), solid(CREAM)];
pub(super) const FRENCHIE: &[Coat] =
    &[masked(hex(0xd8_b184)), blaze(hex(0x4b_464c)), solid(hex(0x7f_8792)), pied(hex(0x45_3c3a)), solid(CREAM)];
pub(super) const BOSTON: &[Coat] = &[blaze(BLACK), blaze(hex(0x4a_3029))];
pub(super) const PUG: &[Coat] = &[masked(hex(0xdf_bb8a)), masked(hex(0xe6_c79b)), solid(BLACK)];
pub(super) const AIREDALE: &[Coat] =
    &[solid(hex(0xb9_7a42)).hide(Hide::Saddle, BLACK), solid(hex(0xad_6b35)).hide(Hide::Saddle, hex(0x35_3034))];
pub(super) const RUSSELL: &[Coat] = &[pied(hex(0xb8_7641)), pied(BLACK), blaze(hex(0xb8_7641))];
pub(super) const CAIRN: &[Coat] = &[solid(WHEAT), solid(hex(0x8c_7a66)), solid(hex(0x5d_564f))];
pub(super) const YORKIE: &[Coat] =
    &[solid(hex(0xc2_8a4d)).trunk(hex(0x5c_6470)), solid(hex(0xb0_763a)).trunk(hex(0x4a_505c))];
pub(super) const SCHNAUZER: &[Coat] = &[light(hex(0x77_787e), SILVER), light(hex(0x45_4549), SILVER), solid(BLACK)];
pub(super) const POODLE: &[Coat] =
    &[solid(WHITE), solid(hex(0xc4_8a5a)), solid(BLACK), solid(hex(0x7a_4e34)), solid(SILVER)];
pub(super) const DOODLE: &[Coat] = &[solid(hex(0xdc_b27c)), solid(CREAM), solid(hex(0xb9_7a48)), solid(CHOCOLATE)];
pub(super) const SHIH_TZU: &[Coat] = &[blaze(hex(0xc1_9560)), blaze(hex(0x5c_5558)), solid(CREAM)];
pub(super) const LHASA: &[Coat] = &[solid(hex(0xd6_b27c)), solid(CREAM), light(GOLD, CREAM)];
pub(super) const PEKE: &[Coat] = &[masked(hex(0xcd_9c60)), masked(CREAM)];
pub(super) const COCKER: &[Coat] = &[solid(hex(0xc7_8a4c)), solid(BLACK), solid(RUST), parti(hex(0x3b_3438))];
pub(super) const RED_WHITE: &[Coat] = &[parti(hex(0xa8_5128)), parti(hex(0xb8_6a36))];
pub(super) const LIVER_WHITE: &[Coat] = &[parti(LIVER), parti(BLACK)];
pub(super) const BLACK_WHITE: &[Coat] = &[parti(BLACK)];
pub(super) const CHIHUAHUA: &[Coat] =
    &[solid(hex(0xd8_ac74)), points(BLACK, TAN), light(hex(0xc8_9258), CREAM), pied(FAWN)];
pub(super) const HAIRLESS: &[Coat] =
    &[solid(hex(0x6a_6068)), solid(hex(0x86_706c)), Coat { ears: PINK, ..solid(hex(0xb8_9a90)) }];
pub(super) const DALMATIAN: &[Coat] = &[
    solid(WHITE).face(Face::Spots, BLACK).hide(Hide::Spots, BLACK).ears(hex(0x4a_464a)),
    solid(WHITE).face(Face::Spots, LIVER).hide(Hide::Spots, LIVER).ears(LIVER).liver_nose(),
];
pub(super) const RIDGEBACK: &[Coat] =
    &[solid(hex(0xb8_773f)).face(Face::Mask, hex(0x5b_3a28)).hide(Hide::Ridge, hex(0x6e_3f22))];
pub(super) const GERMAN_POINTER: &[Coat] = &[
    solid(LIVER).hide(Hide::Ticked, SILVER).liver_nose(),
    Coat { base: LIVER, hide: Hide::Patches, third: LIVER, ..solid(LIVER) }.liver_nose(),
];
pub(super) const ENGLISH_SETTER: &[Coat] = &[
    solid(WHITE).face(Face::Spots, STEEL).hide(Hide::Ticked, STEEL).ears(STEEL),
    solid(WHITE).face(Face::Spots, GOLD).hide(Hide::Ticked, GOLD).ears(GOLD),
];
pub(super) const PITBULL: &[Coat] =
    &[blaze(hex(0x7f_8792)), blaze(hex(0xb0_7844)), brindle(hex(0x94_6a44)), pied(BLACK)];
pub(super) const OLD_ENGLISH: &[Coat] =
    &[solid(WHITE).face(Face::Cap, hex(0xf3_efe9)).hide(Hide::Saddle, hex(0x8b_93a0)).ears(hex(0x8b_93a0))];
pub(super) const SHAGGY: &[Coat] = &[solid(hex(0x47_4446)), solid(hex(0xc0_9a64)), solid(GREY)];
pub(super) const PAPILLON: &[Coat] = &[parti(hex(0xa8_5f30)), parti(BLACK), parti(hex(0xc0_8648))];
pub(super) const SHARPEI: &[Coat] =
    &[solid(hex(0xcf_9f66)), solid(hex(0xb3_7a48)), masked(hex(0xd9_b280)), solid(hex(0x4a_4246))];
pub(super) const WILD: &[Coat] =
    &[solid(hex(0xa8_7a42)).face(Face::Mask, BLACK).hide(Hide::Merle, BLACK).ears(hex(0x3a_302e))];
pub(super) const BASENJI: &[Coat] = &[blaze(hex(0xb4_6530)), blaze(BLACK)];
pub(super) const PLOTT: &[Coat] = &[brindle(hex(0x8a_6038)), brindle(hex(0x6e_4e34))];
pub(super) const INDIAN: &[Coat] = &[solid(FAWN), light(hex(0xbb_8248), CREAM), blaze(hex(0x5b_4a40)), solid(CREAM)];
pub(super) const MIXED: &[Coat] =
    &[blaze(TAN), points(BLACK, TAN), pied(SABLE), solid(YELLOW), brindle(TAN), light(GREY, WHITE), masked(FAWN)];
