//! Records of many bits, and the exclusive or of those at which a key's leaves are odd.
//!
//! The leaves of both parties add up to 1 at the point and to 0 elsewhere, so their lowest bits differ at the point alone: the exclusive ors of
//! both parties differ by the record of the point.

use super::MAX_BITS;
use super::key::{Key, mask};
use super::prg::{BATCH, Prg};
use crate::error::{Result, require};

/// Places whose records a thread goes through for all keys before it takes others: they stay in the second cache.
const BLOCK: usize = 512;

/// 2^bits records of some 64-bit words each, one after the other.
pub struct Records {
    bits: usize,
    width: usize,
    words: Vec<u64>,
}

impl Records {
    /// `words`: record after record.
    pub fn new(words: Vec<u64>, bits: usize) -> Result<Self> {
        require((1..=MAX_BITS).contains(&bits), "bits must be between 1 and 20")?;
        let whole = !words.is_empty() && words.len().is_multiple_of(1 << bits);
        require(whole, "there are not 2^bits records")?;
        Ok(Self { bits, width: words.len() >> bits, words })
    }

    /// How many.
    pub fn size(&self) -> usize {
        1 << self.bits
    }

    /// Words of each.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many blocks of places there are.
    pub(super) fn blocks(&self) -> usize {
        self.size().div_ceil(BLOCK)
    }

    /// Changes `out` (a record) by the records of a block whose bit in `odd`, of all places, is set.  Reads all of them.
    pub(super) fn add(&self, block: usize, odd: &[u64], out: &mut [u64]) {
        let places = block * BLOCK..((block + 1) * BLOCK).min(self.size());
        for place in places {
            let chosen = (odd[place / 64] >> (place % 64) & 1).wrapping_neg();
            let record = &self.words[place * self.width..][..self.width];
            out.iter_mut().zip(record).for_each(|(o, r)| *o ^= r & chosen);
        }
    }
}

/// Of all places, whether the key's leaf is odd, one bit each; `nodes`: room for half as many nodes as there are leaves.
pub(super) fn odd_leaves(prg: &Prg, key: &Key<'_>, nodes: &mut [u128], odd: &mut [u64]) {
    super::portable::grow(prg, key, nodes);
    let (half, words) = (1usize << key.levels(), key.leaf_corrections().map(|w| w as u64 & 1));
    odd.fill(0);
    for (i, nodes) in nodes[..half].chunks(BATCH).enumerate() {
        let (mut left, mut right) = ([0; BATCH], [0; BATCH]);
        prg.children(nodes, &mut left, &mut right);
        for (side, leaves) in [left, right].iter().enumerate() {
            for (k, (node, leaf)) in nodes.iter().zip(leaves).enumerate() {
                let place = side * half + i * BATCH + k;
                odd[place / 64] |= ((*leaf as u64 & 1) ^ (mask(*node) as u64 & words[side])) << (place % 64);
            }
        }
    }
}
