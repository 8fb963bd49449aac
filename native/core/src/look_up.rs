//! The arithmetic of a look-up on shares (protocols/look_up.py): cubics of numbers that two parties share, all in Z_2^128.
//!
//! Of each row, with t = e + b: `factors` are shares of b and of each curve's a_1, a_2, a_3; `products` of b^2, b^3 and of each curve's a_1 b, a_2 b,
//! a_2 b^2, a_3 b, a_3 b^2, a_3 b^3.  Row after row.

use rayon::prelude::*;

use crate::error::{Result, require};
use crate::plain::PlainVec;
use crate::ring128::{collect, low, vector};

const DEGREE: usize = 3;
/// Rows that a thread takes at least.
const MIN_ROWS: usize = 512;

/// How many numbers of `factors` a row has.
pub fn factors(curves: usize) -> usize {
    1 + DEGREE * curves
}

/// The same of `products`.
pub fn products(curves: usize) -> usize {
    DEGREE - 1 + DEGREE * (DEGREE + 1) / 2 * curves
}

fn check(vector: &PlainVec, rows: usize, each: usize) -> Result<()> {
    require(rows.checked_mul(each) == Some(vector.len()), "a look-up has vectors of other lengths")
}

fn row(vector: &PlainVec, at: usize) -> u128 {
    low(vector.row(at)) as u128
}

/// Rows of `each` numbers, which `fill` writes.
fn filled(rows: usize, each: usize, fill: impl Fn(usize, &mut [u128]) + Sync) -> Vec<u128> {
    let mut out = vec![0u128; rows * each];
    out.par_chunks_exact_mut(each.max(1)).enumerate().with_min_len(MIN_ROWS).for_each(|(i, o)| fill(i, o));
    out
}

/// The first party's shares of the products, of both parties' factors and of the second's shares.
pub fn deal(first: &PlainVec, second: &PlainVec, theirs: &PlainVec, rows: usize, curves: usize) -> Result<PlainVec> {
    let (f, p) = (factors(curves), products(curves));
    check(first, rows, f)?;
    check(second, rows, f)?;
    check(theirs, rows, p)?;
    Ok(vector(&filled(rows, p, |i, out| {
        let whole = |k: usize| row(first, i * f + k).wrapping_add(row(second, i * f + k));
        let b = whole(0);
        let powers = [b, b.wrapping_mul(b), b.wrapping_mul(b).wrapping_mul(b)];
        out[..2].copy_from_slice(&powers[1..]);
        let mut at = 2;
        for k in 1..f {
            for power in &powers[..=(k - 1) % DEGREE] {
                out[at] = whole(k).wrapping_mul(*power);
                at += 1;
            }
        }
        for (k, o) in out.iter_mut().enumerate() {
            *o = o.wrapping_sub(row(theirs, i * p + k));
        }
    })))
}

/// Of each share of a number: its cell of 2^cell units, modulo 2^bits, and the rest in units of 2^drop.
pub fn locate(share: &PlainVec, cell: usize, bits: usize, drop: usize) -> Result<(Vec<i64>, Vec<i64>)> {
    require(drop < cell && cell + bits < 128 && bits < 63 && cell - drop < 63, "a cell is out of range")?;
    let each = (0..share.len()).into_par_iter().with_min_len(MIN_ROWS).map(|i| {
        let z = row(share, i);
        ((z >> cell & ((1 << bits) - 1)) as i64, ((z & ((1 << cell) - 1)) >> drop) as i64)
    });
    Ok(each.unzip())
}

/// t - b (n,), and each curve's c_m - a_m (n 3 curves,); found: c_0 to c_3 of each curve.
pub fn mask(t: &PlainVec, found: &[&PlainVec], factors_: &PlainVec) -> Result<(PlainVec, PlainVec)> {
    let (n, curves) = (t.len(), found.len() / (DEGREE + 1));
    let f = factors(curves);
    check(factors_, n, f)?;
    require(found.len() == curves * (DEGREE + 1) && found.iter().all(|c| c.len() == n), "a curve has four tables")?;
    let rest = collect((0..n).map(|i| low(t.row(i)).wrapping_sub(low(factors_.row(i * f)))));
    let masked = filled(n, DEGREE * curves, |i, out| {
        for (k, o) in out.iter_mut().enumerate() {
            let c = found[k / DEGREE * (DEGREE + 1) + k % DEGREE + 1];
            *o = row(c, i).wrapping_sub(row(factors_, i * f + 1 + k));
        }
    });
    Ok((rest, vector(&masked)))
}

/// One party's shares of the curves' values; rest, masked: both parties' together; constants: c_0 of each curve; unit:
/// fractional bits of t; cut: how many bits all values lose at the end.
#[derive(Clone, Copy)]
pub struct Opened<'a> {
    pub first: bool,
    pub rest: &'a PlainVec,
    pub masked: &'a PlainVec,
    pub factors: &'a PlainVec,
    pub products: &'a PlainVec,
}

impl Opened<'_> {
    pub fn values(&self, constants: &[&PlainVec], unit: usize, cut: usize) -> Result<Vec<PlainVec>> {
        let (n, curves) = (self.rest.len(), constants.len());
        let (f, p, each) = (factors(curves), products(curves), products(1) - 2);
        check(self.masked, n, DEGREE * curves)?;
        check(self.factors, n, f)?;
        check(self.products, n, p)?;
        require(
            constants.iter().all(|c| c.len() == n) && DEGREE * unit < 128 && cut < 128,
            "a look-up is out of range",
        )?;
        let found = filled(n, curves, |i, out| {
            let e = row(self.rest, i);
            let (e2, of) = (e.wrapping_mul(e), |k: usize| row(self.products, i * p + k));
            let e3 = e2.wrapping_mul(e);
            // shares of x t^m, from those of x, x b, x b^2, x b^3
            let times = |m: usize, x: [u128; DEGREE + 1]| match m {
                1 => x[0].wrapping_mul(e).wrapping_add(x[1]),
                2 => x[0].wrapping_mul(e2).wrapping_add(x[1].wrapping_mul(e) << 1).wrapping_add(x[2]),
                _ => {
                    let inner = x[1].wrapping_mul(e2).wrapping_add(x[2].wrapping_mul(e)).wrapping_mul(3);
                    x[0].wrapping_mul(e3).wrapping_add(inner).wrapping_add(x[3])
                }
            };
            let powers = [self.first as u128, row(self.factors, i * f), of(0), of(1)];
            let t = [1, 2, 3].map(|m| times(m, powers));
            for (k, (o, constant)) in out.iter_mut().zip(constants).enumerate() {
                let (a, ab) = (|m: usize| row(self.factors, i * f + DEGREE * k + m), |j: usize| of(2 + each * k + j));
                let x = [[a(1), ab(0), 0, 0], [a(2), ab(1), ab(2), 0], [a(3), ab(3), ab(4), ab(5)]];
                let mut total = row(constant, i) << (DEGREE * unit);
                for m in 1..=DEGREE {
                    let d = row(self.masked, (i * curves + k) * DEGREE + m - 1);
                    let product = d.wrapping_mul(t[m - 1]).wrapping_add(times(m, x[m - 1]));
                    total = total.wrapping_add(product << (unit * (DEGREE - m)));
                }
                *o = (total as i128 >> cut) as u128;
            }
        });
        Ok((0..curves).map(|k| vector(&found.iter().skip(k).step_by(curves).copied().collect::<Vec<_>>())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn random(seed: u8, n: usize) -> PlainVec {
        PlainVec::random(&[seed; 32], n, 128).unwrap()
    }

    fn sum(a: &PlainVec, b: &PlainVec) -> PlainVec {
        crate::ring128::add(a, b).unwrap()
    }

    proptest! {
        /// Shares of cubics add up to the cubics at t.
        #[test]
        fn cubics_of_shared_numbers(curves in 1usize..4, t in -40i64..40, coefficients in prop::collection::vec(-1000i64..1000, 12)) {
            let (n, unit) = (3, 4);
            let (first, second) = (random(1, n * factors(curves)), random(2, n * factors(curves)));
            let theirs = random(3, n * products(curves));
            let mine = deal(&first, &second, &theirs, n, curves).unwrap();
            let t_second = random(4, n);
            let t_first = crate::ring128::sub(&PlainVec::from_i64(vec![t; n].into_iter()), &t_second).unwrap();
            let tables: Vec<PlainVec> = (0..4 * curves).map(|k| PlainVec::from_i64(vec![coefficients[k % 12]; n].into_iter())).collect();
            let of_second: Vec<PlainVec> = (0..4 * curves).map(|k| random(10 + k as u8, n)).collect();
            let of_first: Vec<PlainVec> =
                tables.iter().zip(&of_second).map(|(w, s)| crate::ring128::sub(w, s).unwrap()).collect();
            let (a, b): (Vec<&PlainVec>, Vec<&PlainVec>) = (of_first.iter().collect(), of_second.iter().collect());
            let ((r1, m1), (r2, m2)) = (mask(&t_first, &a, &first).unwrap(), mask(&t_second, &b, &second).unwrap());
            let (rest, masked) = (sum(&r1, &r2), sum(&m1, &m2));
            let one = Opened { first: true, rest: &rest, masked: &masked, factors: &first, products: &mine };
            let other = Opened { first: false, factors: &second, products: &theirs, ..one };
            let (ca, cb): (Vec<&PlainVec>, Vec<&PlainVec>) =
                (a.iter().step_by(4).copied().collect(), b.iter().step_by(4).copied().collect());
            let (u, v) = (one.values(&ca, unit, 0).unwrap(), other.values(&cb, unit, 0).unwrap());
            for k in 0..curves {
                let c = |m: usize| coefficients[(4 * k + m) % 12] as i128;
                let t = t as i128;
                let wanted = (c(0) << 12) + ((c(1) * t) << 8) + ((c(2) * t * t) << 4) + c(3) * t * t * t;
                let found = sum(&u[k], &v[k]);
                for i in 0..n {
                    prop_assert_eq!(low(found.row(i)), wanted);
                }
            }
        }

        #[test]
        fn a_share_is_its_cell_and_its_rest(z: i64) {
            let (cells, rest) = locate(&PlainVec::from_i64([z].into_iter()), 20, 9, 4).unwrap();
            prop_assert_eq!(cells[0], (z >> 20).rem_euclid(512));
            prop_assert_eq!(rest[0], z.rem_euclid(1 << 20) >> 4);
        }
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let (one, two) = (random(1, 4), random(2, 8));
        assert!(deal(&one, &two, &random(3, 8), 1, 1).is_err() && deal(&one, &one, &two, 2, 1).is_err());
        assert!(locate(&one, 120, 9, 4).is_err() && locate(&one, 20, 9, 20).is_err());
        assert!(mask(&random(4, 1), &[&one], &one).is_err());
        let own = Opened { first: true, rest: &one, masked: &two, factors: &one, products: &two };
        assert!(own.values(&[&one], 16, 48).is_err());
    }
}
