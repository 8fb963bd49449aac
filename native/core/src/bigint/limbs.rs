//! Little-endian 64-bit limbs: the few primitives that everything else is built from.  No branch depends on a limb's value unless the name
//! says `vartime`.

use num_bigint::BigUint;

#[inline(always)]
pub fn mac(t: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let x = a as u128 * b as u128 + t as u128 + carry as u128;
    (x as u64, (x >> 64) as u64)
}

#[inline(always)]
fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let x = a as u128 + b as u128 + carry as u128;
    (x as u64, (x >> 64) as u64)
}

#[inline(always)]
fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (x, o1) = a.overflowing_sub(b);
    let (x, o2) = x.overflowing_sub(borrow);
    (x, (o1 | o2) as u64)
}

/// a += b, returning the carry; b may be shorter.
pub fn add_assign(a: &mut [u64], b: &[u64]) -> u64 {
    let (low, high) = a.split_at_mut(b.len());
    let mut carry = 0;
    for (x, y) in low.iter_mut().zip(b) {
        (*x, carry) = adc(*x, *y, carry);
    }
    for x in high {
        (*x, carry) = adc(*x, 0, carry);
    }
    carry
}

/// a -= b, returning the borrow; b may be shorter.
pub fn sub_assign(a: &mut [u64], b: &[u64]) -> u64 {
    let (low, high) = a.split_at_mut(b.len());
    let mut borrow = 0;
    for (x, y) in low.iter_mut().zip(b) {
        (*x, borrow) = sbb(*x, *y, borrow);
    }
    for x in high {
        (*x, borrow) = sbb(*x, 0, borrow);
    }
    borrow
}

/// (top, a) -= b where (top, a) >= b; returns 1 if it subtracted.  `top` is the limb above a.
pub fn reduce_once(a: &mut [u64], top: &mut u64, b: &[u64]) -> u64 {
    let mut borrow = 0;
    for (x, y) in a.iter().zip(b) {
        (_, borrow) = sbb(*x, *y, borrow);
    }
    let (_, less) = sbb(*top, 0, borrow);
    let take = less.wrapping_sub(1); // all ones when (top, a) >= b
    let mut borrow = 0;
    for (x, y) in a.iter_mut().zip(b) {
        (*x, borrow) = sbb(*x, *y & take, borrow);
    }
    *top = top.wrapping_sub(borrow);
    take & 1
}

/// out = a * b, out.len() == a.len() + b.len().
pub fn mul(out: &mut [u64], a: &[u64], b: &[u64]) {
    out.fill(0);
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0;
        for (o, &y) in out[i..].iter_mut().zip(b) {
            (*o, carry) = mac(*o, x, y, carry);
        }
        out[i + b.len()] = carry;
    }
}

/// out = the low out.len() limbs of a * b.
pub fn mul_low(out: &mut [u64], a: &[u64], b: &[u64]) {
    out.fill(0);
    for (i, &x) in a.iter().enumerate().take(out.len()) {
        let mut carry = 0;
        for (o, &y) in out[i..].iter_mut().zip(b) {
            (*o, carry) = mac(*o, x, y, carry);
        }
        if let Some(o) = out.get_mut(i + b.len()) {
            *o = carry;
        }
    }
}

/// out = a^2, out.len() == 2 a.len(): the products off the diagonal once, doubled.
pub fn square(out: &mut [u64], a: &[u64]) {
    out.fill(0);
    for i in 0..a.len() {
        let mut carry = 0;
        let x = a[i];
        for (o, &y) in out[2 * i + 1..].iter_mut().zip(&a[i + 1..]) {
            (*o, carry) = mac(*o, x, y, carry);
        }
        out[i + a.len()] = carry;
    }
    let (mut shifted, mut carry) = (0u64, 0u64);
    for (pair, &x) in out.chunks_exact_mut(2).zip(a) {
        let sq = x as u128 * x as u128;
        let d0 = pair[0] << 1 | shifted;
        let d1 = pair[1] << 1 | pair[0] >> 63;
        shifted = pair[1] >> 63;
        (pair[0], carry) = adc(d0, sq as u64, carry);
        (pair[1], carry) = adc(d1, (sq >> 64) as u64, carry);
    }
}

/// a <<= 1, returning the bit shifted out.
pub fn double(a: &mut [u64]) -> u64 {
    let mut carry = 0;
    for x in a {
        let top = *x >> 63;
        *x = *x << 1 | carry;
        carry = top;
    }
    carry
}

/// -m^-1 mod 2^64 for odd m.
pub fn neg_inverse(m: u64) -> u64 {
    let mut x = m; // right modulo 2^3, doubled five times
    for _ in 0..5 {
        x = x.wrapping_mul(2u64.wrapping_sub(m.wrapping_mul(x)));
    }
    x.wrapping_neg()
}

/// a < b for equal lengths.
pub fn less(a: &[u64], b: &[u64]) -> bool {
    let mut borrow = 0;
    for (x, y) in a.iter().zip(b) {
        (_, borrow) = sbb(*x, *y, borrow);
    }
    borrow == 1
}

pub fn is_zero(a: &[u64]) -> bool {
    a.iter().fold(0, |acc, x| acc | x) == 0
}

/// Equal as integers of the same length, without an early exit.
pub fn equal(a: &[u64], b: &[u64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

pub fn bit_length_vartime(a: &[u64]) -> usize {
    a.iter().rposition(|&x| x != 0).map_or(0, |i| 64 * i + 64 - a[i].leading_zeros() as usize)
}

/// `count` <= 32 bits of a from bit `at` on; zero beyond the end.
#[inline]
pub fn bits(a: &[u64], at: usize, count: usize) -> u64 {
    let (word, shift) = (at / 64, at % 64);
    let low = a.get(word).copied().unwrap_or(0) >> shift;
    let high = if shift == 0 { 0 } else { a.get(word + 1).copied().unwrap_or(0) << (64 - shift) };
    (low | high) & ((1u64 << count) - 1)
}

/// a mod d for a small public d.
pub fn rem_small(a: &[u64], d: u64) -> u64 {
    a.iter().rev().fold(0u64, |r, &x| (((r as u128) << 64 | x as u128) % d as u128) as u64)
}

/// Little-endian bytes to exactly `len` limbs (the caller knows that they fit).
pub fn from_le_bytes(bytes: &[u8], len: usize) -> Vec<u64> {
    let mut out = vec![0u64; len];
    for (i, &b) in bytes.iter().enumerate() {
        if b != 0 {
            out[i / 8] |= (b as u64) << (8 * (i % 8));
        }
    }
    out
}

/// The low `len` bytes, little-endian.
pub fn to_le_bytes(a: &[u64], len: usize) -> Vec<u8> {
    a.iter().flat_map(|x| x.to_le_bytes()).chain(std::iter::repeat(0)).take(len).collect()
}

/// For public values only: `BigUint` does not wipe its memory.
pub fn from_big(x: &BigUint, len: usize) -> Vec<u64> {
    let mut out = x.to_u64_digits();
    assert!(out.len() <= len, "value too wide for its limbs");
    out.resize(len, 0);
    out
}

/// For public values only: `BigUint` does not wipe its memory.
pub fn to_big(a: &[u64]) -> BigUint {
    BigUint::from_slice(&a.iter().flat_map(|&x| [x as u32, (x >> 32) as u32]).collect::<Vec<_>>())
}
