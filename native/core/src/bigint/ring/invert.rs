//! Inverses of many elements for one inversion and twelve fifths of a product an element.
//!
//! Montgomery's trick (running products forth, inverses back) needs first halves alone: a product of these costs two half-width products, a
//! pair's five.  For x = (a, b) it gives a' with a a' = R^2 modulo m.  Then x (a', 0) = R (1 + e m) modulo m^2 for some e, and the inverse is
//! a' (1 - e m) = (a', -a' e): six half-width products more.

use rayon::prelude::*;

use super::super::{inverse, ops};
use super::{Engine, Ring};
use crate::bigint::kernel::Kernel;
use crate::bigint::rows::Rows;
use crate::error::{Error, Result};

impl Ring {
    /// Every row to its inverse; an error, and no row changed, where one has none.
    pub fn invert(&self, rows: &mut [u64]) -> Result<()> {
        let (w, stride) = (self.width(), with!(self, k => k.first_width()));
        let len = rows.len() / w;
        if len == 0 {
            return Ok(());
        }
        // every lane of every task has a chain of its own; the chains' ends go through a tree
        let lanes = self.prefers_batches_of();
        let each = len.div_ceil(2 * rayon::current_num_threads()).clamp(16 * lanes, 1024).next_multiple_of(lanes);
        let mut before = Rows::zeros(len, stride);
        let mut ends = Rows::zeros(len.div_ceil(each) * lanes, stride);
        before
            .par_chunks_mut(stride * each)
            .zip(ends.par_chunks_mut(stride * lanes))
            .zip(rows.par_chunks(w * each))
            .for_each(
                |((before, ends), rows)| with!(self, k => ops::running_firsts(k, rows, self.one(), before, ends)),
            );
        let ends = self.invert_firsts(&ends, stride)?;
        rows.par_chunks_mut(w * each)
            .zip(before.par_chunks(stride * each))
            .zip(ends.par_chunks(stride * lanes))
            .for_each(|((rows, before), ends)| with!(self, k => ops::inverses(k, rows, self.one(), before, ends)));
        self.count_fifths(12 * len as u64);
        Ok(())
    }

    /// Inverses modulo m of first halves, up and down a binary tree.
    fn invert_firsts(&self, rows: &[u64], stride: usize) -> Result<Rows> {
        let len = rows.len() / stride;
        let mut out = Rows::zeros(len, stride);
        if len == 1 {
            let shared = Error::Invalid("a ciphertext shares a factor with n");
            let mut whole = self.rows(1);
            whole[..stride].copy_from_slice(rows);
            let low = self.export(&whole, |_, a, _| a.to_vec()).remove(0);
            let inverse = inverse::public(&low, &self.m).ok_or(shared)?;
            out.copy_from_slice(&self.import(&inverse, inverse.len())[..stride]);
            return Ok(out);
        }
        let pairs = len / 2;
        let odd = 2 * pairs * stride..len * stride; // the last one, where it has no partner
        let mut upper = Rows::zeros(len.div_ceil(2), stride);
        with!(self, k => ops::multiply_firsts(k, (rows, |i| 2 * i), (rows, |i| 2 * i + 1), &mut upper[..pairs * stride]));
        upper[pairs * stride..].copy_from_slice(&rows[odd.clone()]);
        let inverse = self.invert_firsts(&upper, stride)?;
        with!(self, k => ops::multiply_firsts(k, (&inverse, |i| i / 2), (rows, |i| i ^ 1), &mut out[..odd.start]));
        out[odd].copy_from_slice(&inverse[pairs * stride..]);
        Ok(out)
    }
}
