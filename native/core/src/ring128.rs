//! Z_2^128, for additive shares: vectors of signed integers read modulo 2^128 and written back as the representative in [-2^127, 2^127).

use crate::error::{Result, require};
use crate::plain::PlainVec;

fn low(row: &[u64]) -> i128 {
    let fill = (row[row.len() - 1] as i64 >> 63) as u64;
    let high = row.get(1).copied().unwrap_or(fill);
    (((high as u128) << 64) | row[0] as u128) as i128
}

fn collect(values: impl ExactSizeIterator<Item = i128>) -> PlainVec {
    let mut limbs = vec![0u64; 2 * values.len()];
    for (row, v) in limbs.chunks_exact_mut(2).zip(values) {
        row.copy_from_slice(&[v as u64, (v >> 64) as u64]);
    }
    PlainVec::from_limbs(limbs, 2)
}

/// Each element modulo 2^128.
pub fn wrap(a: &PlainVec) -> PlainVec {
    collect((0..a.len()).map(|i| low(a.row(i))))
}

/// Elementwise sum modulo 2^128.
pub fn add(a: &PlainVec, b: &PlainVec) -> Result<PlainVec> {
    zip(a, b, i128::wrapping_add)
}

/// Elementwise difference modulo 2^128.
pub fn sub(a: &PlainVec, b: &PlainVec) -> Result<PlainVec> {
    zip(a, b, i128::wrapping_sub)
}

/// Elementwise product modulo 2^128.
pub fn mul(a: &PlainVec, b: &PlainVec) -> Result<PlainVec> {
    zip(a, b, i128::wrapping_mul)
}

fn zip(a: &PlainVec, b: &PlainVec, combine: impl Fn(i128, i128) -> i128) -> Result<PlainVec> {
    require(a.len() == b.len(), "vectors differ in length")?;
    Ok(collect((0..a.len()).map(|i| combine(low(a.row(i)), low(b.row(i))))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vec(values: &[i128]) -> PlainVec {
        collect(values.iter().copied())
    }

    proptest! {
        #[test]
        fn results_wrap(a: i128, b: i128) {
            prop_assert_eq!(mul(&vec(&[a]), &vec(&[b])).unwrap(), vec(&[a.wrapping_mul(b)]));
            prop_assert_eq!(add(&vec(&[a]), &vec(&[b])).unwrap(), vec(&[a.wrapping_add(b)]));
            prop_assert_eq!(sub(&vec(&[a]), &vec(&[b])).unwrap(), vec(&[a.wrapping_sub(b)]));
        }

        #[test]
        fn wider_elements_are_reduced(a: i128, b: i128) {
            let sum = vec(&[a]).add(&vec(&[b])).unwrap();
            prop_assert_eq!(wrap(&sum), vec(&[a.wrapping_add(b)]));
        }
    }

    #[test]
    fn lengths_must_agree() {
        assert!(mul(&vec(&[1]), &vec(&[1, 2])).is_err() && add(&vec(&[1]), &vec(&[1, 2])).is_err());
    }
}
