//! ChaCha20 streams: one seed, one stream an element.  The generator wipes its state when it is dropped.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

pub type Seed = [u8; 32];
pub type Stream = ChaCha20Rng;

/// Element `stream` of the expansion of `seed`.
pub fn stream(seed: &Seed, stream: u64) -> Stream {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(stream);
    rng
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
