//! The kernel by itself: every width, and digits and sums at the ends of their ranges.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use proptest::prelude::*;
use rand_core::Rng;

use super::{Avx2, available, merge, split};
use crate::bigint::kernel::Kernel;
use crate::bigint::limbs;

/// An odd modulus of exactly so many bits, the rest as `fill` says.
fn modulus(bits: usize, fill: impl Fn(usize) -> bool) -> BigUint {
    let mut m = BigUint::from(1u32) | BigUint::from(1u32) << (bits - 1);
    (1..bits - 1).filter(|i| fill(*i)).for_each(|i| m.set_bit(i as u64, true));
    m
}

/// The number whose digits are all `digit`, as far as they go; the top one is what is left.
fn repeated(k: &Avx2, digit: i64, m: &BigUint) -> BigUint {
    let count = m.bits() as usize / k.radix.bits;
    let sum = (0..count).fold(BigInt::from(0), |sum, i| sum + (BigInt::from(digit) << (k.radix.bits * i)));
    sum.mod_floor(&BigInt::from(m.clone())).to_biguint().unwrap()
}

fn row(k: &Avx2, a: &BigUint, b: &BigUint, len: usize) -> Vec<u64> {
    let mut row = vec![0u64; k.width()];
    k.put(&mut row, &limbs::from_big(a, len), &limbs::from_big(b, len));
    row
}

fn number(k: &Avx2, row: &[u64], m: &BigUint, len: usize) -> BigUint {
    let (mut a, mut b) = (vec![0u64; len + 1], vec![0u64; len + 1]);
    k.get(row, &mut a, &mut b);
    let (a, b) = (limbs::to_big(&a), limbs::to_big(&b));
    assert!(a < *m && b < *m, "halves that are not reduced");
    a + b * m
}

/// Every product and square of the values (four at a time, each lane with others) is right, after a chain of three too.
fn right(k: &Avx2, m: &BigUint, values: &[BigUint]) -> bool {
    let len = m.to_u64_digits().len();
    let square = m * m;
    let radix = BigUint::from(1u32) << k.radix_bits();
    let rows: Vec<Vec<u64>> = values.iter().map(|v| row(k, &(v % m), &(v / m), len)).collect();
    let (n, mut out) = (values.len(), vec![0u64; k.width()]);
    let (mut x, mut y, mut s) = (k.block(), k.block(), k.block());
    (0..n * n).step_by(4).all(|first| {
        let at = |l: usize| (first + l).min(n * n - 1);
        for l in 0..4 {
            k.set_lane(&mut x, l, &rows[at(l) / n]);
            k.set_lane(&mut y, l, &rows[at(l) % n]);
        }
        k.copy(&mut s, &x);
        k.mul(&mut x, &y);
        k.add(&mut x, &y); // x y / R + y
        k.mul(&mut x, &s); // (x y / R + y) x / R
        k.sqr(&mut s);
        (0..4).all(|l| {
            let (v, w) = (&values[at(l) / n], &values[at(l) % n]);
            k.get_lane(&x, l, &mut out);
            let chain = number(k, &out, m, len) * &radix * &radix % &square;
            k.get_lane(&s, l, &mut out);
            let squared = number(k, &out, m, len) * &radix % &square;
            squared == v * v % &square && chain == (v * w + w * &radix) * v % &square
        })
    })
}

fn extremes(k: &Avx2, m: &BigUint) -> Vec<BigUint> {
    let half = 1i64 << (k.radix.bits - 1);
    let digits: Vec<BigUint> = [1, half - 1, 1 - half, -half].iter().map(|d| repeated(k, *d, m)).collect();
    let mut values: Vec<BigUint> = digits.iter().zip(digits.iter().rev()).map(|(a, b)| a + b * m).collect();
    values.extend([BigUint::from(0u32), BigUint::from(1u32), m - 1u32, m * m - 1u32, m * m - m]);
    values
}

#[test]
fn every_width() {
    if !available() {
        return;
    }
    let mut rng = crate::random::stream(&[7; 32], 0);
    for limbs in 1..=96 {
        for bits in [64 * limbs, 64 * limbs - 1, 64 * limbs - 37] {
            let m = modulus(bits, |i| bits % 2 == 0 || i % 3 == 0);
            let k = Avx2::new(&m.to_u64_digits());
            let mut random = vec![0u64; 2 * limbs];
            random.iter_mut().for_each(|x| *x = rng.next_u64());
            let values = [limbs::to_big(&random) % (&m * &m), m.clone() - 1u32, &m * &m - 1u32];
            assert!(right(&k, &m, &values), "{bits} bits");
        }
    }
}

#[test]
fn sums_at_the_ends_of_their_range() {
    if !available() {
        return;
    }
    for bits in [64, 129, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144] {
        for m in [modulus(bits, |_| true), modulus(bits, |_| false), modulus(bits, |i| i % 3 == 0)] {
            let mut k = Avx2::new(&m.to_u64_digits());
            let values = extremes(&k, &m);
            assert!(right(&k, &m, &values), "{bits} bits");
            // the controls: sums that run on past the ends of their range, a wrong digit of -m^-1, a wrong digit of m
            let (limit, n0) = (k.radix.limit, k.radix.n0);
            if 4 * limit < k.h {
                k.radix.limit *= 2;
                assert!(!right(&k, &m, &values), "{bits} bits: sums beyond their range went unnoticed");
                k.radix.limit = limit;
            }
            k.radix.n0 = -n0;
            assert!(!right(&k, &m, &values), "{bits} bits: a wrong inverse went unnoticed");
            k.radix.n0 = n0;
            let digit = &mut super::lanes_mut(&mut k.m)[0];
            *digit = (f64::from_bits(*digit) + 2.0).to_bits();
            assert!(!right(&k, &m, &values), "{bits} bits: a wrong modulus in one lane went unnoticed");
        }
    }
}

#[test]
fn a_lazy_operand() {
    if !available() {
        return;
    }
    for bits in [64usize, 1024, 1536, 3072] {
        let m = modulus(bits, |_| true);
        let k = Avx2::new(&m.to_u64_digits());
        let len = m.to_u64_digits().len();
        let words = k.radix_bits().div_ceil(64);
        let whole = (BigUint::from(1u32) << k.radix_bits()) - 1u32; // a < R, at the end of its range
        let (mut x, mut y) = (k.block(), k.block());
        let other = &m * &m - 1u32;
        k.broadcast(&mut x, &row(&k, &whole, &BigUint::from(0u32), words));
        k.broadcast(&mut y, &row(&k, &(&other % &m), &(&other / &m), len));
        k.mul(&mut x, &y);
        let mut out = vec![0u64; k.width()];
        k.get_lane(&x, 3, &mut out);
        let radix = BigUint::from(1u32) << k.radix_bits();
        assert_eq!(number(&k, &out, &m, len) * radix % (&m * &m), whole * other % (&m * &m), "{bits} bits");
    }
}

proptest! {
    #[test]
    fn digits_and_back(a in proptest::collection::vec(any::<u64>(), 1..8), bits in 2usize..50) {
        let mut digits = vec![0u64; (64 * a.len() + 2).div_ceil(bits)];
        split(&mut digits, &a, bits);
        let half = (1u64 << (bits - 1)) as f64;
        prop_assert!(digits.iter().all(|d| (-half..=2.0 * half).contains(&f64::from_bits(*d))));
        let (mut plus, mut minus) = (vec![0u64; a.len() + 1], vec![0u64; a.len() + 1]);
        merge(&mut plus, &digits, bits, 0);
        merge(&mut minus, &digits, bits, -1);
        limbs::sub_assign(&mut plus, &minus);
        prop_assert_eq!(&plus[..a.len()], &a[..]);
        prop_assert_eq!(plus[a.len()], 0);
    }
}
