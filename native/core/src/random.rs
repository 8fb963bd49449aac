//! ChaCha20 streams: one seed, one stream an element.  The generator wipes its state when it is dropped.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::error::{Error, Result, require};

pub type Seed = [u8; 32];
pub type Stream = ChaCha20Rng;

/// Element `stream` of the expansion of `seed`.
pub fn stream(seed: &Seed, stream: u64) -> Stream {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(stream);
    rng
}

/// The streams of `seed` from number `first` on: those of a part of a longer draw, whose first element has that number.
#[derive(Clone, Copy)]
pub struct Streams<'a> {
    seed: &'a Seed,
    first: u64,
}

/// Draws are shorter: numbers above are for what belongs to no element.
const MOST: u64 = 1 << 48;

impl<'a> Streams<'a> {
    /// For `len` elements.
    pub fn part(seed: &'a Seed, first: u64, len: usize) -> Result<Streams<'a>> {
        require(first.checked_add(len as u64).is_some_and(|last| last <= MOST), "a draw has no such part")?;
        Ok(Streams { seed, first })
    }

    /// That of the part's element `i`.
    pub fn at(&self, i: usize) -> Stream {
        stream(self.seed, self.first + i as u64)
    }
}

impl<'a> From<&'a Seed> for Streams<'a> {
    fn from(seed: &'a Seed) -> Streams<'a> {
        Streams { seed, first: 0 }
    }
}

/// The low `bits` bits are uniform, the rest of the limbs zero.
pub fn fill_bits(rng: &mut impl Rng, out: &mut [u64], bits: usize) {
    for (i, x) in out.iter_mut().enumerate() {
        let word = rng.next_u64();
        *x = match bits.saturating_sub(64 * i) {
            0 => 0,
            b if b >= 64 => word,
            b => word & ((1 << b) - 1),
        };
    }
}

/// A seed from the operating system.
pub fn fresh_seed() -> Result<Zeroizing<Seed>> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut seed[..]).map_err(|_| Error::Fault("the operating system gave no randomness"))?;
    Ok(seed)
}
