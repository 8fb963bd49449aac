//! The public key: what anyone may compute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use num_bigint::BigUint;
use num_integer::Integer;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::MAX_BITS;
use super::cipher::CipherVec;
use super::cover::Cover;
use super::fixed_base::FixedBase;
use crate::bigint::ring::{Backend, Ring};
use crate::bigint::rows::Rows;
use crate::bigint::{limbs, prime};
use crate::error::{Error, Result};
use crate::plain::PlainVec;
use crate::pool::Pool;
use crate::random::{self, Streams};

pub struct PublicKey {
    n: BigUint,
    limbs: Vec<u64>,
    bits: usize,
    fingerprint: [u8; 32],
    pub(crate) ring: Ring,
    pub(crate) pool: Pool,
    /// Quarters of a product modulo n^2.
    pub(crate) products: Arc<AtomicU64>,
    pub(crate) base: FixedBase,
    cover: Cover,
}

/// Ciphertexts that are read at a time: what is read takes little memory beside its result.
const READ_BLOCK: usize = 4096;

/// Expands (label, n, index) to an integer modulo n; the bias is below 2^-128.
pub(crate) fn hash_to_ring(label: &[u8], n: &BigUint, index: u32) -> BigUint {
    let bytes = n.to_bytes_be();
    let blocks = (bytes.len() + 16).div_ceil(32) as u32;
    let expanded: Vec<u8> = (0..blocks)
        .flat_map(|block| {
            let mut hash = Sha256::new();
            hash.update((label.len() as u32).to_be_bytes());
            hash.update(label);
            hash.update((bytes.len() as u32).to_be_bytes());
            hash.update(&bytes);
            hash.update(index.to_be_bytes());
            hash.update(block.to_be_bytes());
            hash.finalize().to_vec()
        })
        .collect();
    BigUint::from_bytes_be(&expanded) % n
}

/// h_s = h^n with h = -x^2, x by hashing n.
pub(crate) fn djn_base(n: &BigUint) -> BigUint {
    let x = hash_to_ring(b"vfl paillier djn base v1", n, 0);
    let h = n - &x * &x % n;
    h.modpow(n, &(n * n))
}

fn check(n: &BigUint) -> Result<()> {
    let bits = n.bits() as usize;
    let digits = n.to_u64_digits();
    if !(16..=MAX_BITS).contains(&bits) || !bits.is_multiple_of(8) {
        return Err(Error::Invalid("n has no permitted size"));
    }
    if digits[0] % 4 != 1 {
        return Err(Error::Invalid("n is not 1 modulo 4"));
    }
    if prime::small_factor(&digits).is_some() {
        return Err(Error::Invalid("n has a small factor"));
    }
    if (2..=bits as u32 / 16).filter(|k| prime::small_primes().contains(k)).any(|k| n.nth_root(k).pow(k) == *n) {
        return Err(Error::Invalid("n is a perfect power"));
    }
    if prime::is_probable_prime(&digits, 2, &mut random::stream(&[0; 32], 0)) {
        return Err(Error::Invalid("n is a prime"));
    }
    Ok(())
}

impl PublicKey {
    /// An n from anyone: everything that can be told from n alone is checked.
    pub fn new(n: &BigUint, backend: Backend, pool: Pool) -> Result<PublicKey> {
        check(n)?;
        Ok(PublicKey::trusted(n, backend, pool, None))
    }

    /// An n whose factors this process knows.
    pub(crate) fn trusted(n: &BigUint, backend: Backend, pool: Pool, base: Option<BigUint>) -> PublicKey {
        let bits = n.bits() as usize;
        let limbs = limbs::from_big(n, bits.div_ceil(64));
        let products = Arc::new(AtomicU64::new(0));
        let ring = Ring::new(&limbs, backend, products.clone(), 4);
        let h = base.unwrap_or_else(|| djn_base(n));
        let base = FixedBase::new(ring.import(&limbs::from_big(&h, 2 * limbs.len()), 2 * limbs.len()));
        let fingerprint = Sha256::digest(n.to_bytes_be()).into();
        PublicKey { n: n.clone(), limbs, bits, fingerprint, ring, pool, products, base, cover: Cover::new() }
    }

    pub fn n(&self) -> &BigUint {
        &self.n
    }

    pub(crate) fn limbs(&self) -> &[u64] {
        &self.limbs
    }

    pub fn bits(&self) -> usize {
        self.bits
    }

    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub fn backend(&self) -> Backend {
        self.ring.backend()
    }

    /// Whole products modulo n^2 so far.
    pub fn products(&self) -> u64 {
        self.products.load(Ordering::Relaxed) / 4
    }

    /// Bytes of one ciphertext.
    pub fn cipher_bytes(&self) -> usize {
        self.bits / 4
    }

    /// Element i modulo n, n's length; the caller has checked that |m| < n.
    pub(crate) fn residue(&self, plain: &PlainVec, i: usize, out: &mut [u64]) {
        let (magnitude, negative) = plain.magnitude(i);
        let magnitude = Zeroizing::new(magnitude);
        let take = magnitude.len().min(out.len());
        out.fill(0);
        out[..take].copy_from_slice(&magnitude[..take]);
        if negative {
            let mut rest = Zeroizing::new(self.limbs.clone());
            limbs::sub_assign(&mut rest, out);
            out.copy_from_slice(&rest);
        }
    }

    /// Refuses plaintexts that do not fit into (-n/2, n/2) with certainty.
    pub(crate) fn check_plain(&self, plain: &PlainVec) -> Result<()> {
        if plain.max_bits() > self.bits - 2 {
            return Err(Error::Overflow("a plaintext does not fit below n / 2"));
        }
        Ok(())
    }

    /// (1 + n)^m.
    pub fn lift(self: &Arc<Self>, plain: &PlainVec) -> Result<CipherVec> {
        self.check_plain(plain)?;
        self.pool.install(|| {
            let raw = self.raw_lift(plain);
            Ok(CipherVec::from_rows(self.clone(), self.ring.times_radix(&raw)))
        })
    }

    /// 1 + m n as plain rows: the pair (1, m) itself.
    pub(crate) fn raw_lift(&self, plain: &PlainVec) -> Rows {
        self.ring.put_all(plain.len(), |i, a, b| {
            a[0] = 1;
            self.residue(plain, i, b);
        })
    }

    pub fn encrypt<'a>(
        self: &Arc<Self>,
        plain: &PlainVec,
        streams: impl Into<Streams<'a>>,
        exponent_bits: usize,
    ) -> Result<CipherVec> {
        let streams = streams.into();
        self.check_plain(plain)?;
        self.pool.install(|| {
            let rows = self.factors(streams, plain.len(), exponent_bits, self.lift(plain)?.rows())?;
            Ok(CipherVec::from_rows(self.clone(), rows))
        })
    }

    /// rows[i] times h_s^alpha_i, where alpha_i is stream i.
    pub(crate) fn factors(&self, streams: Streams<'_>, len: usize, bits: usize, rows: &[u64]) -> Result<Rows> {
        let powers = self.base.powers(&self.ring, streams, len, bits)?;
        Ok(self.ring.multiply(&powers, rows))
    }

    /// As `factors`, for what was computed from a peer's ciphertexts: times a factor that covers all units (see `cover`).
    pub(crate) fn covering_factors(&self, streams: Streams<'_>, len: usize, bits: usize, rows: &[u64]) -> Result<Rows> {
        let rows = self.factors(streams, len, bits, rows)?;
        Ok(self.ring.multiply(&self.cover.factors(&self.ring, &self.n, streams, len, bits)?, &rows))
    }

    /// Range and gcd of every element are checked before it is used.
    pub fn ciphers_from_bytes(self: &Arc<Self>, data: &[u8]) -> Result<CipherVec> {
        let size = self.cipher_bytes();
        if !data.len().is_multiple_of(size) {
            return Err(Error::Invalid("not a whole number of ciphertexts"));
        }
        let square = limbs::from_big(&(&self.n * &self.n), 2 * self.limbs.len());
        let width = square.len();
        self.pool.install(|| {
            let mut rows = Rows::zeros(data.len() / size, self.ring.width());
            let block = READ_BLOCK * self.ring.width();
            for (out, data) in rows.chunks_mut(block).zip(data.chunks(READ_BLOCK * size)) {
                let mut values = vec![0u64; data.len() / size * width];
                let ok =
                    values.par_chunks_mut(width).zip(data.par_chunks(size)).with_min_len(64).all(|(value, bytes)| {
                        value.copy_from_slice(&limbs::from_le_bytes(bytes, width));
                        limbs::less(value, &square) && !limbs::is_zero(value)
                    });
                if !ok {
                    return Err(Error::Invalid("a ciphertext is out of range"));
                }
                out.copy_from_slice(&self.ring.import(&values, width));
            }
            if !rows.is_empty() && self.ring.product_mod(&rows).gcd(&self.n) != BigUint::from(1u32) {
                return Err(Error::Invalid("a ciphertext shares a factor with n"));
            }
            Ok(CipherVec::from_rows(self.clone(), rows))
        })
    }
}
