//! The SIMD kernel: four nodes at a time in one vector (VAES), eight leaves at a time in three (AVX-512 IFMA).  The only file of this module with
//! `unsafe` in it.
//!
//! A level is expanded in place: of each vector of nodes the left children take its place and the right ones follow after the whole level.  A leaf c is
//! cut into limbs of 52, 52 and 24 bits, c = lo + 2^52 mid + 2^104 top, which IFMA multiplies by a digit d < 2^52:
//!   c d = lo(lo d) + 2^52 (hi(lo d) + lo(mid d)) + 2^104 (hi(mid d) + lo(top d))   mod 2^128,
//! lo() and hi() being the low and the high 52 bits.  Five sums of numbers below 2^52, in 64 bits: room for 4096 of them.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use zeroize::{DefaultIsZeroes, Zeroize};

use super::key::Key;
use super::prg::{SIDE, Salt};
use super::table::{Sums, Tables};

type V = __m512i;

/// Vectors of nodes in flight: their two children each make eight streams, enough to hide the latency of a round.
const UNROLL: usize = 4;
/// Groups of eight nodes whose leaves are made before they are multiplied: small enough for the first cache.
const GROUPS: usize = 4;
/// Groups that the accumulators have room for.
const ROOM: usize = 4096;

/// Smaller trees do not fill the groups.
pub const MIN_BITS: usize = 6;

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Block([u64; 8]);

impl DefaultIsZeroes for Block {}

/// Limbs of eight leaves.
type Leaves = [Block; 3];

/// What the leaves of one side meet.
type Digits = [[u64; 8]; GROUPS];

/// Both sides' five sums of products and the sums of marked digits.
type Accumulators = [[Block; 6]; 2];

pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("aes")
}

/// The public round keys of a deal, room for one row's evaluation, and proof that this CPU has the instructions.
pub struct Wide {
    keys: [V; 11],
    nodes: Vec<Block>,
    leaves: [[Leaves; GROUPS]; 2],
    marks: [u8; GROUPS],
    sums: Vec<Accumulators>,
}

impl Drop for Wide {
    fn drop(&mut self) {
        self.nodes.zeroize();
        self.leaves.as_flattened_mut().as_flattened_mut().zeroize();
        self.marks.zeroize();
        self.sums.as_flattened_mut().as_flattened_mut().zeroize();
    }
}

impl Wide {
    /// None where the CPU lacks something, or the tables have fewer than 2^MIN_BITS entries.
    pub fn new(salt: &Salt, tables: &Tables) -> Option<Box<Self>> {
        if !available() || tables.size() < 1 << MIN_BITS {
            return None;
        }
        Some(Box::new(Self {
            // SAFETY: the features that the function is compiled with are there.
            keys: unsafe { schedule(salt) },
            nodes: vec![Block::default(); tables.size() / 8],
            leaves: Default::default(),
            marks: Default::default(),
            sums: vec![Default::default(); tables.digits()],
        }))
    }

    /// With the tables, and for a key of the tables, that `self` was made for.
    pub fn evaluate(&mut self, key: &Key<'_>, x: usize, tables: &Tables, sums: &mut [Sums]) {
        // SAFETY: `self` exists, so `new` found the features that the function is compiled with.
        unsafe { evaluate(self, key, x, tables, sums) }
    }
}

#[target_feature(enable = "avx512f,aes")]
fn schedule(salt: &Salt) -> [V; 11] {
    // SAFETY: 16 readable bytes.
    let mut key = unsafe { _mm_loadu_si128(salt.as_ptr().cast()) };
    let mut keys = [_mm512_broadcast_i32x4(key); 11];
    macro_rules! round {
        ($at:literal, $constant:literal) => {
            let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(key));
            key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
            key = _mm_xor_si128(key, _mm_slli_si128::<8>(key));
            key = _mm_xor_si128(key, word);
            keys[$at] = _mm512_broadcast_i32x4(key);
        };
    }
    round!(1, 0x01);
    round!(2, 0x02);
    round!(3, 0x04);
    round!(4, 0x08);
    round!(5, 0x10);
    round!(6, 0x20);
    round!(7, 0x40);
    round!(8, 0x80);
    round!(9, 0x1b);
    round!(10, 0x36);
    keys
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &Block) -> V {
    // SAFETY: a valid reference, aligned by its type.
    unsafe { _mm512_load_si512(block.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_digits(digits: &[u64; 8]) -> V {
    // SAFETY: a valid reference; no alignment is asked for.
    unsafe { _mm512_loadu_si512(digits.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(block: &mut Block, v: V) {
    // SAFETY: a valid, exclusive reference, aligned by its type.
    unsafe { _mm512_store_si512(block.0.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(x: u128) -> V {
    let (low, high) = (x as i64, (x >> 64) as i64);
    _mm512_set_epi64(high, low, high, low, high, low, high, low)
}

/// G of `prg.rs`, on N vectors of four nodes each.  (Loops, here and below: a closure with these features is not inlined into `map`.)
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn children<const N: usize>(keys: &[V; 11], nodes: &[V; N]) -> [[V; N]; 2] {
    let (seed, high, side) = (broadcast(!1), broadcast(!0 << 64), broadcast(SIDE));
    let mut inputs = [[seed; N]; 2];
    for i in 0..N {
        let node = _mm512_and_si512(nodes[i], seed);
        // a ^ (b & c)
        inputs[0][i] = _mm512_ternarylogic_epi64::<0x78>(_mm512_shuffle_epi32::<0x4e>(node), node, high);
        inputs[1][i] = _mm512_xor_si512(inputs[0][i], side);
    }
    let mut state = inputs;
    for state in state.as_flattened_mut() {
        *state = _mm512_xor_si512(*state, keys[0]);
    }
    for key in &keys[1..10] {
        for state in state.as_flattened_mut() {
            *state = _mm512_aesenc_epi128(*state, *key);
        }
    }
    for (state, input) in state.as_flattened_mut().iter_mut().zip(inputs.as_flattened()) {
        *state = _mm512_aesenclast_epi128(*state, _mm512_xor_si512(keys[10], *input));
    }
    state
}

/// The children, corrected.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn expand<const N: usize>(keys: &[V; 11], nodes: &[V; N], corrections: &[V; 2]) -> [[V; N]; 2] {
    let mut out = children(keys, nodes);
    for i in 0..N {
        let mark = _mm512_test_epi64_mask(_mm512_unpacklo_epi64(nodes[i], nodes[i]), _mm512_set1_epi64(1));
        for side in 0..2 {
            out[side][i] = _mm512_mask_xor_epi64(out[side][i], mark, out[side][i], corrections[side]);
        }
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f")]
fn corrections(key: &Key<'_>, level: usize) -> [V; 2] {
    let [left, right] = key.corrections(level);
    [broadcast(left), broadcast(right)]
}

#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn expand_level<const N: usize>(keys: &[V; 11], left: &mut [Block], right: &mut [Block], corrections: &[V; 2]) {
    let (left, right) = (left.as_chunks_mut::<N>().0, right.as_chunks_mut::<N>().0);
    for (left, right) in left.iter_mut().zip(right) {
        let mut nodes = [broadcast(0); N];
        for (node, block) in nodes.iter_mut().zip(left.iter()) {
            *node = load(block);
        }
        let [l, r] = expand(keys, &nodes, corrections);
        for i in 0..N {
            store(&mut left[i], l[i]);
            store(&mut right[i], r[i]);
        }
    }
}

/// All nodes of the last level.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn grow(keys: &[V; 11], key: &Key<'_>, nodes: &mut [Block]) {
    // 1 node, 2 and 4: within one vector
    let [l, r] = expand(keys, &[broadcast(key.root())], &corrections(key, 0));
    let two = _mm512_shuffle_i64x2::<0>(l[0], r[0]);
    let [l, r] = expand(keys, &[two], &corrections(key, 1));
    store(&mut nodes[0], _mm512_shuffle_i64x2::<0x88>(l[0], r[0]));
    for level in 2..key.levels() {
        let (left, right) = nodes.split_at_mut(1 << (level - 2));
        let corrections = corrections(key, level);
        match left.len() {
            1 => expand_level::<1>(keys, left, right, &corrections),
            2 => expand_level::<2>(keys, left, right, &corrections),
            _ => expand_level::<UNROLL>(keys, left, right, &corrections),
        }
    }
}

/// Low and high halves of eight nodes or leaves, in order.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(a: V, b: V) -> [V; 2] {
    let even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    let odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    [_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b)]
}

/// The leaves of `GROUPS` groups of eight nodes, in limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2,vaes")]
fn make_leaves(
    keys: &[V; 11],
    nodes: &[[Block; 2]; GROUPS],
    leaves: &mut [[Leaves; GROUPS]; 2],
    marks: &mut [u8; GROUPS],
) {
    for group in 0..GROUPS {
        let [a, b] = &nodes[group];
        let (a, b) = (load(a), load(b));
        marks[group] = _mm512_test_epi64_mask(halves(a, b)[0], _mm512_set1_epi64(1));
        for (pair, leaves) in children(keys, &[a, b]).iter().zip(leaves.iter_mut()) {
            let [low, high] = halves(pair[0], pair[1]);
            let [lo, mid, top] = &mut leaves[group];
            store(lo, low);
            store(mid, _mm512_shldi_epi64::<12>(high, low));
            store(top, _mm512_srli_epi64::<40>(high));
        }
    }
}

/// Adds the products of the leaves on the left and on the right with their digits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply(sums: &mut Accumulators, leaves: &[[Leaves; GROUPS]; 2], marks: &[u8; GROUPS], digits: [&Digits; 2]) {
    let mut acc = [[broadcast(0); 6]; 2];
    for side in 0..2 {
        for i in 0..6 {
            acc[side][i] = load(&sums[side][i]);
        }
    }
    for group in 0..GROUPS {
        for side in 0..2 {
            let d = load_digits(&digits[side][group]);
            let [lo, mid, top] = &leaves[side][group];
            let (lo, mid, top) = (load(lo), load(mid), load(top));
            let [a0, a1, a2, a3, a4, marked] = &mut acc[side];
            *a0 = _mm512_madd52lo_epu64(*a0, lo, d);
            *a1 = _mm512_madd52hi_epu64(*a1, lo, d);
            *a2 = _mm512_madd52lo_epu64(*a2, mid, d);
            *a3 = _mm512_madd52hi_epu64(*a3, mid, d);
            *a4 = _mm512_madd52lo_epu64(*a4, top, d);
            *marked = _mm512_mask_add_epi64(*marked, marks[group], *marked, d);
        }
    }
    for side in 0..2 {
        for i in 0..6 {
            store(&mut sums[side][i], acc[side][i]);
        }
    }
}

fn flush(sums: &mut Sums, accumulators: &mut Accumulators) {
    for (side, acc) in accumulators.iter().enumerate() {
        let [a0, a1, a2, a3, a4, marked] = acc.map(|b| b.0.iter().map(|v| *v as u128).sum::<u128>());
        let products = a0.wrapping_add((a1 + a2) << 52).wrapping_add((a3 + a4) << 104);
        sums.leaves = sums.leaves.wrapping_add(products);
        sums.marked[side] += marked;
    }
    *accumulators = Default::default();
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2,vaes")]
fn evaluate(wide: &mut Wide, key: &Key<'_>, x: usize, tables: &Tables, sums: &mut [Sums]) {
    let Wide { keys, nodes, leaves, marks, sums: accumulators } = wide;
    grow(keys, key, nodes);
    sums.fill(Sums::default());
    let nodes = nodes.as_chunks().0.as_chunks().0;
    for (chunk, nodes) in nodes.iter().enumerate() {
        make_leaves(keys, nodes, leaves, marks);
        for (window, acc) in tables.windows(x).zip(accumulators.iter_mut()) {
            let (left, right) = window.split_at(window.len() / 2);
            let [left, right] = [left, right].map(|d| &d.as_chunks().0.as_chunks().0[chunk]);
            multiply(acc, leaves, marks, [left, right]);
        }
        if (chunk + 1) % (ROOM / GROUPS) == 0 {
            sums.iter_mut().zip(accumulators.iter_mut()).for_each(|(sum, acc)| flush(sum, acc));
        }
    }
    sums.iter_mut().zip(accumulators).for_each(|(sum, acc)| flush(sum, acc));
}
