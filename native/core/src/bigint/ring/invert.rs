//! Inverses of many elements for one inversion and twelve fifths of a product an element.
//!
//! Montgomery's trick (running products forth, inverses back) needs first halves alone: a product of these costs two half-width products, a
//! pair's five.  For x = (a, b) it gives a' with a a' = R^2 modulo m.  Then x (a', 0) = R (1 + e m) modulo m^2 for some e, and the inverse is
//! a' (1 - e m) = (a', -a' e): six half-width products more.

use rayon::prelude::*;

use super::super::{inverse, ops};
use super::{Engine, Ring};
use crate::bigint::rows::Rows;
use crate::error::{Error, Result};

impl Ring {
    /// Every row's inverse; an error where one has none.
    pub fn invert(&self, rows: &[u64]) -> Result<Rows> {
        let w = self.width();
        let len = rows.len() / w;
        let mut out = self.rows(len);
        if len == 0 {
            return Ok(out);
        }
        // every lane of every task has a chain of its own; the chains' ends go through a tree
        let lanes = self.prefers_batches_of();
        let each = len.div_ceil(2 * rayon::current_num_threads()).clamp(16 * lanes, 1024).next_multiple_of(lanes);
        let mut ends = self.rows(len.div_ceil(each) * lanes);
        out.par_chunks_mut(w * each)
            .zip(ends.par_chunks_mut(w * lanes))
            .zip(rows.par_chunks(w * each))
            .for_each(|((out, ends), rows)| with!(self, k => ops::running_firsts(k, rows, self.one(), out, ends)));
        let ends = self.invert_firsts(&ends)?;
        out.par_chunks_mut(w * each)
            .zip(ends.par_chunks(w * lanes))
            .zip(rows.par_chunks(w * each))
            .for_each(|((out, ends), rows)| with!(self, k => ops::inverses(k, rows, self.one(), ends, out)));
        self.count_fifths(12 * len as u64);
        Ok(out)
    }

    /// Inverses modulo m of the first halves, up and down a binary tree; the second halves of the result mean nothing.
    fn invert_firsts(&self, rows: &[u64]) -> Result<Rows> {
        let w = self.width();
        let len = rows.len() / w;
        if len == 1 {
            let shared = Error::Invalid("a ciphertext shares a factor with n");
            let low = self.export(rows, |_, a, _| a.to_vec()).remove(0);
            let inverse = inverse::public(&low, &self.m).ok_or(shared)?;
            return Ok(self.import(&inverse, inverse.len()));
        }
        let pairs = len / 2;
        let odd = 2 * pairs * w..len * w; // the last one, where it has no partner
        let mut upper = self.rows(len.div_ceil(2));
        with!(self, k => ops::multiply_firsts(k, (rows, |i| 2 * i), (rows, |i| 2 * i + 1), &mut upper[..pairs * w]));
        upper[pairs * w..].copy_from_slice(&rows[odd.clone()]);
        let inverse = self.invert_firsts(&upper)?;
        let mut out = self.rows(len);
        with!(self, k => ops::multiply_firsts(k, (&inverse, |i| i / 2), (rows, |i| i ^ 1), &mut out[..2 * pairs * w]));
        out[odd].copy_from_slice(&inverse[pairs * w..]);
        Ok(out)
    }
}
