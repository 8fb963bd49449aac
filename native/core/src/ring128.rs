//! Z_2^128, for additive shares: vectors of signed integers read modulo 2^128 and written back as the representative in [-2^127, 2^127).

use rayon::prelude::*;

use crate::error::{Result, require};
use crate::plain::PlainVec;

/// Columns of a product that are computed together: what they meet stays in the second cache.
const BLOCK: usize = 128;
/// Columns of a block whose sums stay in registers.
const LANES: usize = 4;

pub(crate) fn low(row: &[u64]) -> i128 {
    let fill = (row[row.len() - 1] as i64 >> 63) as u64;
    let high = row.get(1).copied().unwrap_or(fill);
    (((high as u128) << 64) | row[0] as u128) as i128
}

pub(crate) fn vector(values: &[u128]) -> PlainVec {
    collect(values.iter().map(|&v| v as i128))
}

pub(crate) fn collect(values: impl ExactSizeIterator<Item = i128>) -> PlainVec {
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

/// a @ b, of matrices row after row: a (rows, inner), or (inner, rows) where `turned` names it, and b (inner, columns), or
/// (columns, inner).
pub fn matmul(a: &PlainVec, b: &PlainVec, shape: [usize; 3], turned: [bool; 2]) -> Result<PlainVec> {
    let [rows, inner, columns] = shape;
    let fits = |v: &PlainVec, m: usize, n: usize| m.checked_mul(n) == Some(v.len());
    require(fits(a, rows, inner) && fits(b, inner, columns), "matrices do not fit their shapes")?;
    let out_len = rows.checked_mul(columns);
    require(out_len.is_some_and(|n| n < 1 << 40), "a product of matrices is too large")?;
    let left = matrix(a, rows, inner, turned[0]);
    let blocks: Vec<Vec<u128>> = (0..columns.div_ceil(BLOCK))
        .into_par_iter()
        .map(|k| {
            let (first, last) = (k * BLOCK, columns.min((k + 1) * BLOCK));
            product(&left, &columns_of(b, inner, columns, first, last, turned[1]), rows, inner, last - first)
        })
        .collect();
    let width = |k: usize| columns.min((k + 1) * BLOCK) - k * BLOCK;
    let whole =
        (0..rows).flat_map(|i| blocks.iter().enumerate().flat_map(move |(k, b)| &b[i * width(k)..][..width(k)]));
    Ok(vector(&whole.copied().collect::<Vec<_>>()))
}

/// (m, n) numbers, turned where they stand as (n, m).
fn matrix(v: &PlainVec, m: usize, n: usize, turned: bool) -> Vec<u128> {
    let at = |i: usize| low(v.row(i)) as u128;
    if turned { (0..m * n).map(|k| at(k % n * m + k / n)).collect() } else { (0..m * n).map(at).collect() }
}

/// Columns `first` to `last` of (inner, columns) numbers.
fn columns_of(v: &PlainVec, inner: usize, columns: usize, first: usize, last: usize, turned: bool) -> Vec<u128> {
    let at = |k: usize, j: usize| if turned { j * inner + k } else { k * columns + j };
    (0..inner).flat_map(|k| (first..last).map(move |j| low(v.row(at(k, j))) as u128)).collect()
}

fn product(a: &[u128], b: &[u128], rows: usize, inner: usize, columns: usize) -> Vec<u128> {
    let mut out = vec![0u128; rows * columns];
    if inner == 0 || columns == 0 {
        return out;
    }
    for (line, o) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        let (groups, rest) = o.as_chunks_mut::<LANES>();
        for (j, group) in groups.iter_mut().enumerate() {
            let mut sums = [0u128; LANES];
            for (x, row) in line.iter().zip(b.chunks_exact(columns)) {
                for (sum, y) in sums.iter_mut().zip(&row[LANES * j..]) {
                    *sum = sum.wrapping_add(x.wrapping_mul(*y));
                }
            }
            *group = sums;
        }
        let first = columns - rest.len();
        for (j, o) in rest.iter_mut().enumerate() {
            let terms = line.iter().zip(b.iter().skip(first + j).step_by(columns));
            *o = terms.fold(0, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(*y)));
        }
    }
    out
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
        fn matrices(seed: [u8; 32], rows in 0usize..6, inner in 0usize..6, columns in 0usize..300, turned: [bool; 2]) {
            let a = PlainVec::random(&seed, rows * inner, 128).unwrap();
            let b = PlainVec::random(&seed, inner * columns, 90).unwrap();
            let c = matmul(&a, &b, [rows, inner, columns], turned).unwrap();
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                let x = |k: usize| low(a.row(if turned[0] { k * rows + i } else { i * inner + k }));
                let y = |k: usize| low(b.row(if turned[1] { j * inner + k } else { k * columns + j }));
                let sum = (0..inner).fold(0i128, |sum, k| sum.wrapping_add(x(k).wrapping_mul(y(k))));
                prop_assert_eq!(low(c.row(i * columns + j)), sum);
            }
        }

        #[test]
        fn wider_elements_are_reduced(a: i128, b: i128) {
            let sum = vec(&[a]).add(&vec(&[b])).unwrap();
            prop_assert_eq!(wrap(&sum), vec(&[a.wrapping_add(b)]));
        }
    }

    #[test]
    fn lengths_must_agree() {
        assert!(matmul(&vec(&[1]), &vec(&[1, 2]), [1, 2, 1], [false; 2]).is_err());
        assert!(mul(&vec(&[1]), &vec(&[1, 2])).is_err() && add(&vec(&[1]), &vec(&[1, 2])).is_err());
    }
}
