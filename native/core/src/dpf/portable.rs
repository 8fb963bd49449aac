//! Full-domain evaluation on any machine: `aes` (which uses AES instructions where there are some) and 128-bit integers.

use super::key::{Key, mask};
use super::prg::{BATCH, Prg};
use super::table::{Sums, Tables};

/// All nodes of the last level; `nodes`: room for half as many nodes as there are leaves.
pub fn grow(prg: &Prg, key: &Key<'_>, nodes: &mut [u128]) {
    nodes[0] = key.root();
    for level in 0..key.levels() {
        let (old, new) = nodes.split_at_mut(1 << level);
        let corrections = key.corrections(level);
        for (old, new) in old.chunks_mut(BATCH).zip(new.chunks_mut(BATCH)) {
            let mut left = [0; BATCH];
            prg.children(old, &mut left, new);
            for ((node, right), left) in old.iter_mut().zip(new).zip(left) {
                let marked = mask(*node);
                *node = left ^ marked & corrections[0];
                *right ^= marked & corrections[1];
            }
        }
    }
}

/// `nodes`: as of `grow`.
pub fn evaluate(prg: &Prg, key: &Key<'_>, x: usize, tables: &Tables, nodes: &mut [u128], sums: &mut [Sums]) {
    grow(prg, key, nodes);
    sums.fill(Sums::default());
    let half = 1usize << key.levels();
    for (i, nodes) in nodes[..half].chunks(BATCH).enumerate() {
        let (mut left, mut right) = ([0; BATCH], [0; BATCH]);
        prg.children(nodes, &mut left, &mut right);
        for (sum, window) in sums.iter_mut().zip(tables.windows(x)) {
            for (side, leaves) in [left, right].iter().enumerate() {
                let digits = &window[side * half + i * BATCH..];
                for ((node, leaf), &digit) in nodes.iter().zip(leaves).zip(digits) {
                    sum.leaves = sum.leaves.wrapping_add(leaf.wrapping_mul(digit as u128));
                    sum.marked[side] += mask(*node) & digit as u128;
                }
            }
        }
    }
}
