//! Vectors of ciphertexts under one key.

use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::public::PublicKey;
use crate::bigint::limbs;
use crate::bigint::rows::Rows;
use crate::error::{Error, Result, require};
use crate::plain::PlainVec;
use crate::random::Streams;

#[derive(Clone)]
pub struct CipherVec {
    key: Arc<PublicKey>,
    rows: Rows,
}

impl CipherVec {
    pub(crate) fn from_rows(key: Arc<PublicKey>, rows: Rows) -> CipherVec {
        CipherVec { key, rows }
    }

    pub fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The same key with a computation run on its threads.
    pub(crate) fn derive(&self, compute: impl FnOnce(&PublicKey) -> Rows + Send) -> CipherVec {
        let rows = self.key.pool.install(|| compute(&self.key));
        CipherVec { key: self.key.clone(), rows }
    }

    fn check_same(&self, other: &CipherVec) -> Result<()> {
        let same = Arc::ptr_eq(&self.key, &other.key)
            || (self.key.fingerprint() == other.key.fingerprint() && self.key.backend() == other.key.backend());
        require(same, "ciphertexts under different keys")
    }

    /// Little-endian, a fixed size each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (ring, size) = (&self.key.ring, self.key.cipher_bytes());
        self.key.pool.install(|| ring.export(&self.rows, |_, a, b| limbs::to_le_bytes(&ring.join(a, b), size))).concat()
    }

    /// SHA-256 of the bytes of every `each` ciphertexts, one hash after the other.
    pub fn hashes(&self, each: usize) -> Result<Vec<u8>> {
        require(each > 0, "a hash is of one ciphertext or more")?;
        let (ring, size) = (&self.key.ring, self.key.cipher_bytes());
        let hash = |rows: &[u64]| {
            let mut hash = Sha256::new();
            ring.export(rows, |_, a, b| limbs::to_le_bytes(&ring.join(a, b), size)).iter().for_each(|c| hash.update(c));
            hash.finalize()
        };
        Ok(self.key.pool.install(|| self.rows.par_chunks(each * ring.width()).flat_map_iter(hash).collect()))
    }

    /// c mod n, limbs of n's length each.
    pub fn residues(&self) -> Vec<Vec<u64>> {
        self.key.pool.install(|| self.key.ring.export(&self.rows, |_, a, _| a.to_vec()))
    }

    pub fn add(&self, other: &CipherVec) -> Result<CipherVec> {
        self.check_same(other)?;
        require(self.len() == other.len(), "vectors of different lengths")?;
        Ok(self.derive(|key| key.ring.multiply(&self.rows, &other.rows)))
    }

    pub fn neg(&self) -> Result<CipherVec> {
        let mut rows = self.rows.clone();
        self.key.pool.install(|| self.key.ring.invert(&mut rows))?;
        Ok(CipherVec { key: self.key.clone(), rows })
    }

    pub fn sub(&self, other: &CipherVec) -> Result<CipherVec> {
        self.check_same(other)?;
        require(self.len() == other.len(), "vectors of different lengths")?;
        self.add(&other.neg()?)
    }

    /// |m| < n.
    pub fn add_plain(&self, plain: &PlainVec) -> Result<CipherVec> {
        require(self.len() == plain.len(), "vectors of different lengths")?;
        if plain.max_bits() >= self.key.bits() {
            return Err(Error::Overflow("a plaintext does not fit below n"));
        }
        Ok(self.derive(|key| {
            let product = key.ring.multiply(&self.rows, &key.raw_lift(plain));
            key.ring.times_radix(&product)
        }))
    }

    /// Elementwise; a plain of length one is broadcast.  Magnitudes as exponents, then one inversion for all negative ones together.
    pub fn mul_plain(&self, plain: &PlainVec) -> Result<CipherVec> {
        require(plain.len() == self.len() || plain.len() == 1, "vectors of different lengths")?;
        if plain.max_bits() > self.key.bits() {
            return Err(Error::Overflow("a scalar is wider than n"));
        }
        let signed: Vec<(Zeroizing<Vec<u64>>, bool)> = (0..plain.len())
            .map(|i| plain.magnitude(i))
            .map(|(magnitude, negative)| (Zeroizing::new(magnitude), negative))
            .collect();
        let scalar = |i: usize| &signed[if signed.len() == 1 { 0 } else { i }];
        let negative: Vec<usize> = (0..self.len()).filter(|&i| scalar(i).1).collect();
        self.key.pool.install(|| {
            let ring = &self.key.ring;
            let mut rows = ring.power_each(&self.rows, |i| &scalar(i).0);
            if negative.len() == rows.len() {
                ring.invert(&mut rows)?;
            } else if !negative.is_empty() {
                let mut chosen = ring.rows(negative.len());
                for (k, &i) in negative.iter().enumerate() {
                    chosen.row_mut(k).copy_from_slice(rows.row(i));
                }
                ring.invert(&mut chosen)?;
                for (k, &i) in negative.iter().enumerate() {
                    rows.row_mut(i).copy_from_slice(chosen.row(k));
                }
            }
            Ok(CipherVec { key: self.key.clone(), rows })
        })
    }

    /// One element: the sum of all (of none: one, an encryption of zero without randomness).
    pub fn sum(&self) -> CipherVec {
        let all: Vec<u32> = (0..self.len() as u32).collect();
        self.derive(|key| key.ring.segments(&self.rows, &[0, all.len()], &all))
    }

    pub fn take(&self, rows: &[i64]) -> Result<CipherVec> {
        require(rows.iter().all(|r| (0..self.len() as i64).contains(r)), "row out of range")?;
        let mut out = self.key.ring.rows(rows.len());
        for (i, &r) in rows.iter().enumerate() {
            out.row_mut(i).copy_from_slice(self.rows.row(r as usize));
        }
        Ok(CipherVec { key: self.key.clone(), rows: out })
    }

    pub fn concat(&self, other: &CipherVec) -> Result<CipherVec> {
        self.check_same(other)?;
        let mut rows = self.key.ring.rows(self.len() + other.len());
        let (low, high) = rows.split_at_mut(self.rows.len() * self.rows.width());
        low.copy_from_slice(&self.rows);
        high.copy_from_slice(&other.rows);
        Ok(CipherVec { key: self.key.clone(), rows })
    }

    /// ceil(len / slots) ciphertexts of packed plaintexts (see `PlainVec::pack`).
    pub fn pack(&self, width: usize, slots: usize) -> Result<CipherVec> {
        require(width >= 2 && slots >= 1, "packing needs a width of at least 2 and a slot")?;
        require(width.checked_mul(slots).is_some_and(|b| b < self.key.bits()), "packing wider than n")?;
        let len = self.len();
        Ok(self.derive(|key| {
            let at = |g: usize, j: usize| Some(g * slots + j).filter(|&i| i < len);
            key.ring.horner(&self.rows, len.div_ceil(slots), at, slots, width)
        }))
    }

    /// Times a fresh encryption of zero whose randomness covers all units modulo n.
    pub fn rerandomise<'a>(&self, streams: impl Into<Streams<'a>>, exponent_bits: usize) -> Result<CipherVec> {
        let streams = streams.into();
        self.key.pool.install(|| {
            let rows = self.key.covering_factors(streams, self.len(), exponent_bits, &self.rows)?;
            Ok(CipherVec { key: self.key.clone(), rows })
        })
    }
}
