//! Randomness over all units modulo n, for ciphertexts that are computed from a peer's.
//!
//! Powers of h = -x^2 alone never change a ciphertext's Jacobi symbol, nor its part in a subgroup that h misses.  So a peer that deviates could send
//! ciphertexts of symbol -1 and read the parity of what they were multiplied by; a key holder could search for primes such that h misses a subgroup
//! of a small order l, and read it modulo l.  Therefore such results get one more factor, the product of z_k^e_k, where
//! - z_k is the n-th power of a number that is hashed from n, so that nobody chooses it; z_0 has the symbol -1;
//! - e_k is secret and uniform in 0 .. 15.
//!
//! Whatever subgroup h leaves out: with p = 3 modulo 4 and q = 3 modulo 4, -1 and z_0 make the symbols uniform, and for an odd prime l all BASES numbers
//! miss the part of order l with a probability of l^-BASES, at most 2^-82.  An exponent below 16 is nearly uniform modulo a small l, and for a
//! larger l the product of many is.  A key holder that searches through 2^40 moduli gains 40 of these bits.

use std::sync::OnceLock;

use num_bigint::BigUint;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::proof::jacobi;
use super::public::hash_to_ring;
use super::table::Table;
use crate::bigint::limbs;
use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;
use crate::error::{Error, Result};
use crate::random::{self, Streams};

const BASES: usize = 52;
/// Of one exponent.
const BITS: usize = 4;
/// Two bases share a window.
const WINDOWS: usize = BASES / 2;
const WINDOW_BITS: usize = 2 * BITS;

/// Built when it is first needed; then WINDOWS products cover a ciphertext.
pub(crate) struct Cover(OnceLock<Rows>);

/// The number whose n-th power is z_k.
fn root(n: &BigUint, k: u32) -> Result<BigUint> {
    (0..256)
        .map(|attempt| hash_to_ring(b"vfl paillier cover v1", n, k << 8 | attempt))
        .find(|x| if k == 0 { jacobi(x, n) == -1 } else { jacobi(x, n) != 0 })
        .ok_or(Error::Fault("n has no units to cover with"))
}

fn build(ring: &Ring, n: &BigUint) -> Result<Rows> {
    let size = n.to_u64_digits().len();
    let roots = (0..BASES as u32).into_par_iter().map(|k| root(n, k)).collect::<Result<Vec<_>>>()?;
    let roots: Vec<u64> = roots.iter().flat_map(|x| limbs::from_big(x, size)).collect();
    let exponent = n.to_u64_digits();
    let bases = ring.power_each(&ring.import(&roots, size), |_| &exponent);
    let single = Table::build(ring, &bases, BITS, BITS, BITS);
    let of = |i: usize, second: usize| {
        let (window, digit) = (i >> WINDOW_BITS, i & ((1 << WINDOW_BITS) - 1));
        single.row(2 * window + second, 0, digit >> (BITS * second) & ((1 << BITS) - 1)) as usize
    };
    Ok(ring.multiply_at(WINDOWS << WINDOW_BITS, (&single.rows, |i| of(i, 0)), (&single.rows, |i| of(i, 1))))
}

impl Cover {
    pub(crate) fn new() -> Cover {
        Cover(OnceLock::new())
    }

    /// Not under a lock, as in `FixedBase`: two threads may build it, and one result is kept.
    fn table(&self, ring: &Ring, n: &BigUint) -> Result<&Rows> {
        if self.0.get().is_none() {
            let _ = self.0.set(build(ring, n)?);
        }
        self.0.get().ok_or(Error::Fault("a table was not kept"))
    }

    /// The products of z_k^e_k for `len` ciphertexts: the exponents are of stream i, after its first `after` bits.  The same number of products whatever
    /// they are; the rows that are read depend on them, as in `FixedBase::powers`.
    pub(crate) fn factors(
        &self,
        ring: &Ring,
        n: &BigUint,
        streams: Streams<'_>,
        len: usize,
        after: usize,
    ) -> Result<Rows> {
        if len == 0 {
            return Ok(ring.rows(0));
        }
        let table = self.table(ring, n)?;
        let mut out = ring.rows(len);
        let (each, words, skip) = (ring.share(len), (WINDOWS * WINDOW_BITS).div_ceil(64), after.div_ceil(64));
        out.par_chunks_mut(ring.width() * each).enumerate().for_each(|(c, rows)| {
            let mut drawn = Zeroizing::new(vec![0u64; rows.len() / ring.width() * (skip + words)]);
            for (i, one) in drawn.chunks_exact_mut(skip + words).enumerate() {
                random::fill_bits(&mut streams.at(c * each + i), one, 64 * (skip + words));
            }
            let at = |i: usize, _: usize, t: usize| {
                let exponents = &drawn[i * (skip + words) + skip..][..words];
                t << WINDOW_BITS | limbs::bits(exponents, t * WINDOW_BITS, WINDOW_BITS) as usize
            };
            ring.comb_here(table, at, (1, WINDOWS, 0), rows);
        });
        Ok(out)
    }
}
