//! A secret scalar as the signed digits that the window method walks through.

use zeroize::Zeroizing;

use crate::curve::ENCODED_BYTES;

pub const DIGITS: usize = 2 * ENCODED_BYTES;

/// scalar = sum of digit[i] * 16^i, every digit in [-8, 8].
pub struct Digits(Zeroizing<[i8; DIGITS]>);

impl Digits {
    /// For scalars below 2^255, as all canonical ones are: the last digit absorbs the carry.
    pub fn new(scalar: &[u8; ENCODED_BYTES]) -> Self {
        let mut digits = Zeroizing::new([0i8; DIGITS]);
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(scalar) {
            *pair = [(byte & 15) as i8, (byte >> 4) as i8];
        }
        for i in 0..DIGITS - 1 {
            let carry = (digits[i] + 8) >> 4;
            digits[i] -= carry << 4;
            digits[i + 1] += carry;
        }
        Self(digits)
    }

    /// Most significant first: the place, and the digit as (its magnitude, all ones if negative else zero).
    pub fn walk(&self) -> impl Iterator<Item = (usize, (u64, u64))> {
        self.0.iter().enumerate().rev().map(|(place, digit)| {
            let (wide, sign) = (i64::from(*digit), i64::from(*digit >> 7));
            (place, (((wide ^ sign) - sign) as u64, sign as u64))
        })
    }
}

/// All ones if equal, else zero; opaque to the optimiser, which might otherwise branch on it.
pub fn mask_if_equal(a: u64, b: u64) -> u64 {
    let differ = a ^ b;
    std::hint::black_box(((differ | differ.wrapping_neg()) >> 63).wrapping_sub(1))
}
