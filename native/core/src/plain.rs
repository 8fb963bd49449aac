//! Vectors of signed integers of any size.

use rayon::prelude::*;

use crate::bigint::limbs;
use crate::error::{Error, Result, require};
use crate::random::{self, Seed};

/// `len` integers in two's complement, `width` little-endian limbs each: always the smallest width that holds every element (at least one),
/// so that equal vectors are equal in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainVec {
    limbs: Vec<u64>,
    width: usize,
    len: usize,
}

/// 2^19 bits an element: far beyond any key, and small enough that no header makes us allocate much.
const MAX_WIDTH: usize = 1 << 13;

/// Limbs of a vector that one thread computes with.
const SHORT: usize = 1 << 15;

fn sign(row: &[u64]) -> u64 {
    ((row[row.len() - 1] as i64) >> 63) as u64
}

/// Limbs that this element needs.
fn needed(row: &[u64]) -> usize {
    let fill = sign(row);
    let mut n = row.len();
    while n > 1 && row[n - 1] == fill && (row[n - 2] as i64 >> 63) as u64 == fill {
        n -= 1;
    }
    n
}

fn extend(out: &mut [u64], row: &[u64]) {
    let n = row.len().min(out.len());
    out[..n].copy_from_slice(&row[..n]);
    out[n..].fill(sign(row));
}

/// Keeps the low `bits` of a row of ceil(bits / 64) limbs and extends their sign.
fn centre(row: &mut [u64], bits: usize) {
    let top = (bits - 1) % 64;
    if let Some(last) = row.last_mut() {
        *last = ((*last << (63 - top)) as i64 >> (63 - top)) as u64;
    }
}

/// acc += x, of fewer limbs, modulo 2^(64 acc.len()).
fn add_signed(acc: &mut [u64], x: &[u64]) {
    let fill = sign(x);
    let mut carry = 0u64;
    for (i, a) in acc.iter_mut().enumerate() {
        let s = *a as u128 + x.get(i).copied().unwrap_or(fill) as u128 + carry as u128;
        *a = s as u64;
        carry = (s >> 64) as u64;
    }
}

/// acc += x 2^bits for signed x, modulo 2^(64 acc.len()).
fn add_shifted(acc: &mut [u64], x: &[u64], bits: usize) {
    let (words, rest) = (bits / 64, bits % 64);
    let spill = |below: u64| if rest == 0 { 0 } else { below >> (64 - rest) };
    let (mut below, mut carry) = (0u64, 0i128);
    for (i, a) in acc.iter_mut().skip(words).enumerate() {
        let part = match x.get(i) {
            Some(&limb) => {
                let part = (limb << rest | spill(below)) as i128;
                below = limb;
                part
            }
            None if i == x.len() => spill(below) as i128 - ((sign(x) & 1) << rest) as i128,
            None if carry == 0 => return,
            None => 0,
        };
        let sum = *a as i128 + part + carry;
        *a = sum as u64;
        carry = sum >> 64;
    }
}

fn negate(row: &mut [u64]) {
    let mut carry = 1;
    for x in row {
        let (y, c) = (!*x).overflowing_add(carry);
        (*x, carry) = (y, c as u64);
    }
}

/// acc += x * y for signed x (any width) and y, modulo 2^(64 acc.len()).
fn add_product(acc: &mut [u64], x: &[u64], y: i64) {
    let fill = sign(x);
    let magnitude = y.unsigned_abs();
    let flip = (y >> 63) as u64; // subtract |y| x as the addition of ~(|y| x) + 1
    let (mut high, mut carry) = (0u64, flip & 1);
    for (i, a) in acc.iter_mut().enumerate() {
        let p = x.get(i).copied().unwrap_or(fill) as u128 * magnitude as u128 + high as u128;
        high = (p >> 64) as u64;
        let s = *a as u128 + (p as u64 ^ flip) as u128 + carry as u128;
        *a = s as u64;
        carry = (s >> 64) as u64;
    }
}

impl PlainVec {
    /// Rows of any width, brought to canonical form.
    pub fn from_limbs(limbs: Vec<u64>, width: usize) -> PlainVec {
        let len = limbs.len() / width;
        let mut keep = 1;
        let mut rows = limbs.chunks_exact(width);
        while keep < width
            && let Some(row) = rows.next()
        {
            keep = keep.max(needed(row));
        }
        if keep == width {
            return PlainVec { limbs, width, len }; // as of random numbers, the first of which decides
        }
        let mut out = vec![0u64; len * keep];
        for (o, row) in out.chunks_exact_mut(keep).zip(limbs.chunks_exact(width)) {
            o.copy_from_slice(&row[..keep]);
        }
        PlainVec { limbs: out, width: keep, len }
    }

    pub fn from_i64(values: impl Iterator<Item = i64>) -> PlainVec {
        PlainVec::from_limbs(values.map(|v| v as u64).collect(), 1)
    }

    pub fn zeros(len: usize) -> PlainVec {
        PlainVec { limbs: vec![0; len], width: 1, len }
    }

    /// Uniform in [-2^(bits-1), 2^(bits-1)).
    pub fn random(seed: &Seed, len: usize, bits: usize) -> Result<PlainVec> {
        require((1..=64 * MAX_WIDTH).contains(&bits), "bits out of range")?;
        let width = bits.div_ceil(64);
        let mut limbs = vec![0u64; len * width];
        limbs.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
            random::fill_bits(&mut random::stream(seed, i as u64), row, bits);
            centre(row, bits);
        });
        Ok(PlainVec::from_limbs(limbs, width))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn row(&self, i: usize) -> &[u64] {
        &self.limbs[i * self.width..(i + 1) * self.width]
    }

    fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.limbs.chunks_exact(self.width)
    }

    /// |element i| and whether it is negative.
    pub fn magnitude(&self, i: usize) -> (Vec<u64>, bool) {
        let mut row = self.row(i).to_vec();
        let negative = sign(&row) != 0;
        if negative {
            negate(&mut row);
        }
        (row, negative)
    }

    /// Header: width (u32), length (u64), little-endian; then the limbs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + 8 * self.limbs.len());
        out.extend_from_slice(&(self.width as u32).to_le_bytes());
        out.extend_from_slice(&(self.len as u64).to_le_bytes());
        out.resize(12 + 8 * self.limbs.len(), 0);
        out[12..].chunks_exact_mut(8).zip(&self.limbs).for_each(|(bytes, x)| bytes.copy_from_slice(&x.to_le_bytes()));
        out
    }

    pub fn from_bytes(data: &[u8]) -> Result<PlainVec> {
        let bad = Error::Invalid("not a canonical vector of integers");
        let (width, rest) = data.split_first_chunk::<4>().ok_or(bad)?;
        let (len, body) = rest.split_first_chunk::<8>().ok_or(bad)?;
        let width = u32::from_le_bytes(*width) as usize;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| bad)?;
        let bytes = len.checked_mul(width).and_then(|n| n.checked_mul(8)).ok_or(bad)?;
        if !(1..=MAX_WIDTH).contains(&width) || body.len() != bytes {
            return Err(bad);
        }
        let (words, _) = body.as_chunks::<8>();
        let limbs = words.iter().map(|w| u64::from_le_bytes(*w)).collect();
        let out = PlainVec::from_limbs(limbs, width);
        if out.width == width { Ok(out) } else { Err(bad) }
    }

    pub fn to_i64(&self) -> Result<Vec<i64>> {
        if self.width > 1 {
            return Err(Error::Overflow("an integer does not fit into 64 bits"));
        }
        Ok(self.limbs.iter().map(|&x| x as i64).collect())
    }

    fn zip(&self, other: &PlainVec, combine: impl Fn(&mut [u64], &[u64])) -> Result<PlainVec> {
        require(self.len == other.len, "vectors of different lengths")?;
        let width = self.width.max(other.width) + 1;
        let mut out = vec![0u64; self.len * width];
        let mut wide = vec![0u64; width];
        for ((o, a), b) in out.chunks_exact_mut(width).zip(self.rows()).zip(other.rows()) {
            extend(o, a);
            extend(&mut wide, b);
            combine(o, &wide);
        }
        Ok(PlainVec::from_limbs(out, width))
    }

    pub fn add(&self, other: &PlainVec) -> Result<PlainVec> {
        self.zip(other, |a, b| {
            limbs::add_assign(a, b);
        })
    }

    pub fn sub(&self, other: &PlainVec) -> Result<PlainVec> {
        self.zip(other, |a, b| {
            limbs::sub_assign(a, b);
        })
    }

    /// So few limbs that to wake another thread costs more than it saves.
    pub fn is_short(&self) -> bool {
        self.limbs.len() <= SHORT
    }

    fn map(&self, width: usize, change: impl Fn(&[u64], &mut [u64]) + Sync) -> PlainVec {
        let mut out = vec![0u64; self.len * width];
        if self.is_short() {
            out.chunks_exact_mut(width).zip(self.rows()).for_each(|(o, a)| change(a, o));
            return PlainVec::from_limbs(out, width);
        }
        out.par_chunks_exact_mut(width)
            .zip(self.limbs.par_chunks_exact(self.width))
            .with_min_len(1024)
            .for_each(|(o, a)| change(a, o));
        PlainVec::from_limbs(out, width)
    }

    pub fn neg(&self) -> PlainVec {
        self.map(self.width + 1, |a, o| {
            extend(o, a);
            negate(o);
        })
    }

    /// Times one signed integer in two's complement.
    pub fn scale(&self, factor: &[u64]) -> PlainVec {
        let width = self.width + factor.len();
        self.map(width, |a, o| {
            // the factor in steps of 32 bits, all but the last unsigned
            let steps = 2 * factor.len();
            let mut part = vec![0u64; width];
            for s in (0..steps).rev() {
                let word = (factor[s / 2] >> (32 * (s % 2))) as u32;
                let digit = if s + 1 == steps { word as i32 as i64 } else { word as i64 };
                part.copy_from_slice(o);
                shift_left_into(o, &part, 32);
                add_product(o, a, digit);
            }
        })
    }

    pub fn shift_right(&self, bits: usize) -> PlainVec {
        let (words, rest) = (bits / 64, bits % 64);
        self.map(self.width, |a, o| {
            let at = |i: usize| a.get(i).copied().unwrap_or(sign(a));
            for (i, x) in o.iter_mut().enumerate() {
                let i = i.saturating_add(words);
                *x = at(i) >> rest | if rest == 0 { 0 } else { at(i.saturating_add(1)) << (64 - rest) };
            }
        })
    }

    pub fn shift_left(&self, bits: usize) -> Result<PlainVec> {
        let width = self.width + bits / 64 + 1;
        require(width <= MAX_WIDTH, "shift too far")?;
        Ok(self.map(width, |a, o| shift_left_into(o, a, bits)))
    }

    pub fn take(&self, rows: &[i64]) -> Result<PlainVec> {
        let mut out = Vec::with_capacity(rows.len() * self.width);
        for &r in rows {
            require((0..self.len as i64).contains(&r), "row out of range")?;
            out.extend_from_slice(self.row(r as usize));
        }
        Ok(PlainVec::from_limbs(out, self.width))
    }

    /// Elements `first` to `last`, the latter left out.
    pub fn slice(&self, first: usize, last: usize) -> Result<PlainVec> {
        require(first <= last && last <= self.len, "row out of range")?;
        Ok(PlainVec::from_limbs(self.limbs[first * self.width..last * self.width].to_vec(), self.width))
    }

    pub fn concat(&self, other: &PlainVec) -> PlainVec {
        PlainVec::join(&[self, other])
    }

    /// One after the other.
    pub fn join(parts: &[&PlainVec]) -> PlainVec {
        let width = parts.iter().map(|p| p.width).max().unwrap_or(1);
        let mut out = Vec::with_capacity(parts.iter().map(|p| p.len).sum::<usize>() * width);
        for part in parts {
            if part.width == width {
                out.extend_from_slice(&part.limbs);
                continue;
            }
            for row in part.rows() {
                out.extend_from_slice(row);
                out.resize(out.len() + width - part.width, sign(row));
            }
        }
        PlainVec::from_limbs(out, width)
    }

    pub fn sum(&self) -> PlainVec {
        let mut acc = vec![0u64; self.width + 1];
        let mut wide = acc.clone();
        for row in self.rows() {
            extend(&mut wide, row);
            limbs::add_assign(&mut acc, &wide);
        }
        let width = acc.len();
        PlainVec::from_limbs(acc, width)
    }

    /// Bit length of the largest magnitude.
    pub fn max_bits(&self) -> usize {
        let mut wide = vec![0u64; self.width + 1];
        self.rows()
            .map(|row| {
                extend(&mut wide, row);
                if sign(row) != 0 {
                    negate(&mut wide);
                }
                limbs::bit_length_vartime(&wide)
            })
            .max()
            .unwrap_or(0)
    }

    /// out[i] = sum over j of entry(i, j) * self[j].
    pub fn linear(&self, rows: usize, entry: impl Fn(usize, usize) -> i64 + Sync) -> PlainVec {
        let width = self.width + 2;
        let mut out = vec![0u64; rows * width];
        out.par_chunks_exact_mut(width).enumerate().for_each(|(i, acc)| {
            for (j, x) in self.rows().enumerate() {
                match entry(i, j) {
                    0 => {}
                    y => add_product(acc, x, y),
                }
            }
        });
        PlainVec::from_limbs(out, width)
    }

    /// Each element modulo 2^bits, as the representative in [-2^(bits-1), 2^(bits-1)).
    pub fn residue(&self, bits: usize) -> Result<PlainVec> {
        require((1..=64 * MAX_WIDTH).contains(&bits), "bits out of range")?;
        Ok(self.map(bits.div_ceil(64), |a, o| {
            extend(o, a);
            centre(o, bits);
        }))
    }

    /// The elements as `slots` vectors one after the other: out[i] = sum over j of vector j's element i * 2^(width * j), modulo 2^(width * slots) and centred.
    pub fn stack(&self, width: usize, slots: usize) -> Result<PlainVec> {
        check_packing(width, slots)?;
        require(self.len.is_multiple_of(slots), "the vectors differ in length")?;
        let (count, bits) = (self.len / slots, width * slots);
        let words = bits.div_ceil(64);
        let mut out = vec![0u64; count * words];
        out.par_chunks_exact_mut(words).with_min_len(1024).enumerate().for_each(|(i, o)| {
            for j in 0..slots {
                add_shifted(o, self.row(j * count + i), width * j);
            }
            centre(o, bits);
        });
        Ok(PlainVec::from_limbs(out, words))
    }

    /// bins: (rows, features), row-major, in [0, n_bins).  Returns the sums of each feature's bins, features x n_bins, feature-major.
    pub fn histogram(&self, bins: &[i64], features: usize, n_bins: usize) -> Result<PlainVec> {
        require((1..=1 << 20).contains(&n_bins), "number of bins out of range")?;
        require(self.len.checked_mul(features) == Some(bins.len()), "bins do not have one row for each integer")?;
        require(bins.iter().all(|b| (0..n_bins as i64).contains(b)), "a bin is out of range")?;
        let width = self.width + 1; // the sum of as many as fit into memory needs no more
        let mut out = vec![0u64; features * n_bins * width];
        out.par_chunks_exact_mut((n_bins * width).max(1)).enumerate().for_each(|(f, cells)| {
            for (i, row) in self.rows().enumerate() {
                let cell = &mut cells[bins[i * features + f] as usize * width..][..width];
                add_signed(cell, row);
            }
        });
        Ok(PlainVec::from_limbs(out, width))
    }

    /// ceil(len / slots) integers: the sum over j of element[i * slots + j] * 2^(width * j).
    pub fn pack(&self, width: usize, slots: usize) -> Result<PlainVec> {
        check_packing(width, slots)?;
        if self.max_bits() >= width {
            return Err(Error::Overflow("an integer is too wide for its slot"));
        }
        let words = (width * slots).div_ceil(64) + 1;
        let count = self.len.div_ceil(slots);
        let mut out = vec![0u64; count * words];
        let mut shifted = vec![0u64; words];
        for (o, group) in out.chunks_exact_mut(words).zip(self.limbs.chunks(self.width * slots)) {
            for (j, x) in group.chunks_exact(self.width).enumerate() {
                shift_left_into(&mut shifted, x, width * j);
                limbs::add_assign(o, &shifted);
            }
        }
        Ok(PlainVec::from_limbs(out, words))
    }

    pub fn unpack(&self, width: usize, slots: usize, len: usize) -> Result<PlainVec> {
        check_packing(width, slots)?;
        require(len.div_ceil(slots) == self.len, "length does not fit the packing")?;
        let words = width.div_ceil(64) + 1;
        let mut out = vec![0u64; len * words];
        let mut rest = vec![0u64; self.width + 1];
        let mut next = rest.clone();
        for (group, packed) in out.chunks_mut(words * slots).zip(self.rows()) {
            extend(&mut rest, packed);
            for o in group.chunks_exact_mut(words) {
                // the centred residue of the rest modulo 2^width, then what it leaves
                for (i, x) in o.iter_mut().enumerate() {
                    let have = width.saturating_sub(64 * i).min(64);
                    let word = rest.get(i).copied().unwrap_or(sign(&rest));
                    *x = if have == 64 { word } else { word & ((1u64 << have) - 1) };
                }
                let top = width - 1;
                if o[top / 64] >> (top % 64) & 1 == 1 {
                    let (word, bit) = (width / 64, width % 64);
                    if word < words {
                        o[word] |= u64::MAX << bit;
                        o[word + 1..].fill(u64::MAX);
                    }
                }
                extend(&mut next, o);
                limbs::sub_assign(&mut rest, &next);
                shift_right_into(&mut next, &rest, width);
                std::mem::swap(&mut rest, &mut next);
            }
            if !limbs::is_zero(&rest) {
                return Err(Error::Overflow("a packed integer holds more than its slots"));
            }
        }
        Ok(PlainVec::from_limbs(out, words))
    }
}

fn check_packing(width: usize, slots: usize) -> Result<()> {
    require(width >= 2 && slots >= 1, "packing needs a width of at least 2 and a slot")?;
    require(width.checked_mul(slots).is_some_and(|b| b < 64 * MAX_WIDTH), "packing too wide")
}

fn shift_left_into(out: &mut [u64], a: &[u64], bits: usize) {
    let (words, rest) = (bits / 64, bits % 64);
    let at = |i: usize| if i < words { 0 } else { a.get(i - words).copied().unwrap_or(sign(a)) };
    for (i, x) in out.iter_mut().enumerate() {
        *x = at(i) << rest | if rest == 0 || i == 0 { 0 } else { at(i - 1) >> (64 - rest) };
    }
}

fn shift_right_into(out: &mut [u64], a: &[u64], bits: usize) {
    let (words, rest) = (bits / 64, bits % 64);
    let at = |i: usize| a.get(i).copied().unwrap_or(sign(a));
    for (i, x) in out.iter_mut().enumerate() {
        *x = at(i + words) >> rest | if rest == 0 { 0 } else { at(i + words + 1) << (64 - rest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    fn value(row: &[u64]) -> BigInt {
        let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        BigInt::from_signed_bytes_le(&bytes)
    }

    fn centred(x: BigInt, bits: usize) -> BigInt {
        let (modulus, half) = (BigInt::from(1) << bits, BigInt::from(1) << (bits - 1));
        (((x + &half) % &modulus + &modulus) % &modulus) - half
    }

    proptest! {
        #[test]
        fn residues_are_centred(seed: [u8; 32], wide in 1usize..300, bits in 1usize..300) {
            let a = PlainVec::random(&seed, 5, wide).unwrap();
            let r = a.residue(bits).unwrap();
            for i in 0..5 {
                prop_assert_eq!(value(r.row(i)), centred(value(a.row(i)), bits));
            }
        }

        #[test]
        fn stacks_are_sums_of_shifted_vectors(seed: [u8; 32], wide in 1usize..200, width in 2usize..90, slots in 1usize..9) {
            let a = PlainVec::random(&seed, 3 * slots, wide).unwrap();
            let s = a.stack(width, slots).unwrap();
            for i in 0..3 {
                let whole: BigInt = (0..slots).map(|j| value(a.row(3 * j + i)) << (width * j)).sum();
                prop_assert_eq!(value(s.row(i)), centred(whole, width * slots));
            }
        }

        #[test]
        fn histograms_add_up_signed_integers(seed: [u8; 32], bits in 1usize..200) {
            let a = PlainVec::random(&seed, 12, bits).unwrap();
            let bins: Vec<i64> = (0..24).map(|k| (k * 7 + k / 5) % 3).collect();
            let h = a.histogram(&bins, 2, 3).unwrap();
            for f in 0..2 {
                for b in 0..3 {
                    let sum: BigInt = (0..12).filter(|i| bins[i * 2 + f] == b as i64).map(|i| value(a.row(i))).sum();
                    prop_assert_eq!(value(h.row(f * 3 + b)), sum);
                }
            }
        }
    }

    #[test]
    fn parts_join_to_the_whole() {
        let (narrow, wide) = (PlainVec::from_i64([-3, 5].into_iter()), PlainVec::random(&[7; 32], 3, 150).unwrap());
        let whole = PlainVec::join(&[&narrow, &wide, &PlainVec::zeros(0)]);
        assert_eq!(whole, narrow.concat(&wide));
        assert_eq!((whole.slice(0, 2).unwrap(), whole.slice(2, 5).unwrap()), (narrow, wide));
        assert!(whole.slice(2, 6).is_err() && whole.slice(3, 2).is_err());
        assert_eq!(PlainVec::join(&[]), PlainVec::zeros(0));
    }

    #[test]
    fn misfits_are_refused() {
        let a = PlainVec::zeros(4);
        assert!(a.residue(0).is_err() && a.stack(8, 3).is_err() && a.stack(1, 2).is_err());
        assert!(a.histogram(&[0, 1, 2], 1, 3).is_err() && a.histogram(&[0, 1, 3, 0], 1, 3).is_err());
        assert!(a.histogram(&[0, -1, 0, 0], 1, 3).is_err());
    }
}
