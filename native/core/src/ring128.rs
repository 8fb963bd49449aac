//! Z_2^128, for additive shares: vectors of signed integers read modulo 2^128 and written back as the representative in [-2^127, 2^127).

use crate::error::{Result, require};
use crate::plain::PlainVec;

fn low(row: &[u64]) -> i128 {
    let fill = (row[row.len() - 1] as i64 >> 63) as u64;
    let high = row.get(1).copied().unwrap_or(fill);
    (((high as u128) << 64) | row[0] as u128) as i128
}

fn collect(values: impl Iterator<Item = i128>) -> PlainVec {
    let limbs: Vec<u64> = values.flat_map(|v| [v as u64, (v >> 64) as u64]).collect();
    PlainVec::from_limbs(limbs, 2)
}

/// Each element modulo 2^128.
pub fn wrap(a: &PlainVec) -> PlainVec {
    collect((0..a.len()).map(|i| low(a.row(i))))
}

/// Elementwise product modulo 2^128.
pub fn mul(a: &PlainVec, b: &PlainVec) -> Result<PlainVec> {
    require(a.len() == b.len(), "vectors differ in length")?;
    Ok(collect((0..a.len()).map(|i| low(a.row(i)).wrapping_mul(low(b.row(i))))))
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
        fn products_wrap(a: i128, b: i128) {
            prop_assert_eq!(mul(&vec(&[a]), &vec(&[b])).unwrap(), vec(&[a.wrapping_mul(b)]));
        }

        #[test]
        fn wider_elements_are_reduced(a: i128, b: i128) {
            let sum = vec(&[a]).add(&vec(&[b])).unwrap();
            prop_assert_eq!(wrap(&sum), vec(&[a.wrapping_add(b)]));
        }
    }

    #[test]
    fn lengths_must_agree() {
        assert!(mul(&vec(&[1]), &vec(&[1, 2])).is_err());
    }
}
