//! Colours, opaque and without a colour space to speak of.

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

pub(super) const WHITE: Colour = hex(0xfa_f7f2);
pub(super) const CREAM: Colour = hex(0xf1_e1c2);
pub(super) const YELLOW: Colour = hex(0xe3_c088);
pub(super) const GOLD: Colour = hex(0xcf_924a);
pub(super) const FAWN: Colour = hex(0xd0_a06a);
pub(super) const TAN: Colour = hex(0xb9_7540);
pub(super) const RED: Colour = hex(0xa4_5426);
pub(super) const RUST: Colour = hex(0x96_4a24);
pub(super) const LIVER: Colour = hex(0x70_4127);
pub(super) const CHOCOLATE: Colour = hex(0x56_3222);
pub(super) const BLACK: Colour = hex(0x2e_2b2e);
pub(super) const SABLE: Colour = hex(0x6b_5138);
pub(super) const GREY: Colour = hex(0x88_8b91);
pub(super) const STEEL: Colour = hex(0x5f_656f);
pub(super) const SILVER: Colour = hex(0xb7_b9bd);
pub(super) const BLUE: Colour = hex(0x5d_6878);
pub(super) const WHEAT: Colour = hex(0xd8_bd8c);
pub(super) const TAUPE: Colour = hex(0x93_857a);
pub(super) const PINK: Colour = hex(0xe6_a5a0);

/// The colour that `0xRRGGBB` names.
pub(super) const fn hex(rgb: u32) -> Colour {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Colour(red, green, blue)
}

impl Colour {
    /// This colour mixed with `other`; `share` 1.0 is `other`.
    pub(super) fn mix(self, other: Self, share: f32) -> Self {
        let channel = |from: u8, to: u8| {
            let value = f32::from(from) + (f32::from(to) - f32::from(from)) * share.clamp(0.0, 1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
            let byte = value.round() as u8;
            byte
        };
        Self(channel(self.0, other.0), channel(self.1, other.1), channel(self.2, other.2))
    }

    pub(super) fn darker(self, share: f32) -> Self {
        self.mix(hex(0x1c_1420), share)
    }

    pub(super) fn lighter(self, share: f32) -> Self {
        self.mix(hex(0xff_ffff), share)
    }

    /// Perceived lightness, 0.0 to 1.0.
    pub(super) fn luma(self) -> f32 {
        (0.299 * f32::from(self.0) + 0.587 * f32::from(self.1) + 0.114 * f32::from(self.2)) / 255.0
    }
}
