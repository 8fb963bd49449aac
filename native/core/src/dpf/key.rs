//! One row's key in its bytes, and how the two keys of a point are dealt.
//!
//! root (16 bytes, lowest bit = party) | a correction word a level (16 bytes, lowest bit = the left child's control bit) | the right children's
//! control bits, one bit a level, zero-padded | a correction of the left and one of the right leaf (16 bytes each); little-endian throughout.
//! Level l branches by bit l of the position, lowest first: left children stay where they are and right children follow after them all, so
//! that a level is expanded in place and the leaves come out in order.  The last branching is the leaves' own: with 128-bit leaves one AES block is
//! one leaf, so the tree ends one level early in nodes of two leaves each (Boyle, Gilboa, Ishai, section 3.2.1), which need no control bit of their own.

use super::prg::Prg;

/// All ones where the control bit of the node is set.
pub fn mask(node: u128) -> u128 {
    (node & 1).wrapping_neg()
}

const BLOCK: usize = 16;
/// Random bytes of both parties' roots.
pub const ROOTS: usize = 2 * BLOCK;

fn levels(bits: usize) -> usize {
    bits - 1
}

fn control_bytes(bits: usize) -> usize {
    levels(bits).div_ceil(8)
}

/// Bytes a row.
pub fn size(bits: usize) -> usize {
    BLOCK * (levels(bits) + 3) + control_bytes(bits)
}

pub struct Key<'a> {
    bits: usize,
    data: &'a [u8],
}

impl<'a> Key<'a> {
    /// `data` has the size that belongs to `bits`.
    pub fn new(data: &'a [u8], bits: usize) -> Self {
        debug_assert_eq!(data.len(), size(bits));
        Self { bits, data }
    }

    fn block(&self, at: usize) -> u128 {
        self.data[at..].first_chunk().map_or(0, |b| u128::from_le_bytes(*b))
    }

    fn controls(&self) -> usize {
        BLOCK * (1 + levels(self.bits))
    }

    pub fn levels(&self) -> usize {
        levels(self.bits)
    }

    pub fn root(&self) -> u128 {
        self.block(0)
    }

    /// What is added to the left and to the right children of a level's marked nodes.
    pub fn corrections(&self, level: usize) -> [u128; 2] {
        let left = self.block(BLOCK * (1 + level));
        let right = self.data[self.controls() + level / 8] >> (level % 8) & 1;
        [left, left & !1 | right as u128]
    }

    pub fn leaf_corrections(&self) -> [u128; 2] {
        let at = self.controls() + control_bytes(self.bits);
        [self.block(at), self.block(at + BLOCK)]
    }

    /// Of the party and with nothing in the padding?
    pub fn is_canonical(&self, party: u8) -> bool {
        let padding = match self.levels() % 8 {
            0 => 0,
            used => self.data[self.controls() + control_bytes(self.bits) - 1] >> used,
        };
        self.data[0] & 1 == party && padding == 0
    }
}

/// Writes both parties' keys of `point`, from random bytes that serve once.  Nothing branches on it.
pub fn deal(prg: &Prg, roots: &[u8; ROOTS], point: u64, bits: usize, out: [&mut [u8]; 2]) {
    let [first, second] = [0, BLOCK].map(|at| roots[at..].first_chunk().map_or(0, |b| u128::from_le_bytes(*b)));
    let mut nodes = [first & !1, second | 1];
    let [first, second] = out;
    first[..BLOCK].copy_from_slice(&nodes[0].to_le_bytes());
    second[..BLOCK].copy_from_slice(&nodes[1].to_le_bytes());
    let words = &mut first[BLOCK..];
    let controls = BLOCK * levels(bits);
    words[controls..][..control_bytes(bits)].fill(0);
    for level in 0..levels(bits) {
        let bit = (point >> level & 1) as u128;
        let right = bit.wrapping_neg(); // does the path go right?
        let pairs = prg.pairs(nodes);
        let [left_diff, right_diff] = [0, 1].map(|side| pairs[0][side] ^ pairs[1][side]);
        let seed = (right & left_diff | !right & right_diff) & !1; // equal seeds off the path ...
        let (left_bit, right_bit) = (left_diff & 1 ^ bit ^ 1, right_diff & 1 ^ bit); // ... and equal bits there, unequal ones on it
        words[BLOCK * level..][..BLOCK].copy_from_slice(&(seed | left_bit).to_le_bytes());
        words[controls + level / 8] |= (right_bit as u8) << (level % 8);
        let correction = seed | right & right_bit | !right & left_bit;
        for (node, [l, r]) in nodes.iter_mut().zip(pairs) {
            *node = (right & r | !right & l) ^ mask(*node) & correction;
        }
    }
    let pairs = prg.pairs(nodes);
    let negative = mask(nodes[1]);
    for side in 0..2 {
        let beta = (point >> levels(bits) & 1 ^ side as u64 ^ 1) as u128;
        let word = beta.wrapping_sub(pairs[0][side]).wrapping_add(pairs[1][side]);
        let word = (word ^ negative).wrapping_sub(negative);
        words[controls + control_bytes(bits) + BLOCK * side..][..BLOCK].copy_from_slice(&word.to_le_bytes());
    }
    second[BLOCK..].copy_from_slice(&first[BLOCK..]);
}
