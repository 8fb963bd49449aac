//! The length-doubling generator of the tree: two blocks of AES a node, one key schedule a deal.
//!
//! G(s) = (H(s || 0), H(s || 1)) for a seed s of 127 bits, H(x) = AES_k(sigma(x)) xor sigma(x), sigma(a || b) = (a xor b) || a.
//! Hashing by a permutation under a public, fixed key (Matyas, Meyer, Oseas) is standard for trees: it saves a key schedule a node.  Guo, Katz,
//! Wang, Yu, 2019/074, show what it takes and that this H, with the linear orthomorphism sigma, is circular correlation robust when AES_k is
//! an ideal permutation: more than a tree needs, at two instructions a node.  What a fixed key does cost is that one guess of a seed can be
//! compared with every node under that key; hence a fresh public k for every deal (the multi-instance bound then counts the rows of one deal).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// Nodes expanded at a time: enough to fill the pipeline of the AES unit, few enough to stay in the first cache (measured: a third faster than 16 and than 60).
pub const BATCH: usize = 32;

/// A public AES key.
pub type Salt = [u8; 16];

/// sigma(x || 1) = sigma(x || 0) xor this.
pub const SIDE: u128 = 1 << 64;

pub struct Prg(Aes128);

/// On the seed of a node: its lowest bit, the control bit, is no part of the seed.
fn sigma(x: u128) -> u128 {
    let (high, low) = ((x >> 64) as u64, x as u64 & !1);
    ((high ^ low) as u128) << 64 | high as u128
}

impl Prg {
    pub fn new(salt: &Salt) -> Self {
        Self(Aes128::new(salt.into()))
    }

    /// Both children of at most `BATCH` nodes.
    pub fn children(&self, nodes: &[u128], left: &mut [u128], right: &mut [u128]) {
        let mut blocks = [aes::Block::default(); 2 * BATCH];
        for ((l, r), pair) in left.iter_mut().zip(right.iter_mut()).zip(nodes.iter().zip(blocks.as_chunks_mut().0)) {
            let (node, [a, b]) = pair;
            (*l, *r) = (sigma(*node), sigma(*node) ^ SIDE);
            (*a, *b) = (l.to_le_bytes().into(), r.to_le_bytes().into());
        }
        self.0.encrypt_blocks(&mut blocks[..2 * nodes.len()]);
        for ((l, r), [a, b]) in left.iter_mut().zip(right).zip(blocks[..2 * nodes.len()].as_chunks().0) {
            *l ^= u128::from_le_bytes((*a).into());
            *r ^= u128::from_le_bytes((*b).into());
        }
    }

    /// Both children of each of two nodes.
    pub fn pairs(&self, nodes: [u128; 2]) -> [[u128; 2]; 2] {
        let inputs = nodes.map(|node| [sigma(node), sigma(node) ^ SIDE]);
        let mut blocks: [aes::Block; 4] = [0, 1, 2, 3].map(|i: usize| inputs[i / 2][i % 2].to_le_bytes().into());
        self.0.encrypt_blocks(&mut blocks);
        [0, 1].map(|i: usize| [0, 1].map(|j: usize| inputs[i][j] ^ u128::from_le_bytes(blocks[2 * i + j].into())))
    }
}
