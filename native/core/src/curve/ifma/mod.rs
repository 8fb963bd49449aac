//! Eight points at a time: the same operations as `portable`, on CPUs with AVX-512 IFMA.
//!
//! All points of a vector are multiplied by the same scalar, so that the lanes never diverge: the digits of the scalar
//! select for all eight, and the arithmetic is the same whatever the points.

mod group;
mod lanes;
mod scalar;

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::hash::Expander;
use super::{CHUNK, CurveError, ENCODED_BYTES};
use crate::{pool, stop};
use group::Point;
use lanes::{Encodings, LANES};
use scalar::Digits;

pub use lanes::Ifma;

const BLOCKS: usize = CHUNK / LANES;

#[derive(Clone)]
pub struct Points {
    cpu: Ifma,
    /// The lanes beyond the length hold some point or other.
    blocks: Vec<Point>,
    len: usize,
}

impl Points {
    pub fn hash<T: AsRef<[u8]> + Sync>(cpu: Ifma, items: &[T], expander: &Expander) -> Self {
        let map = |_: usize, items: &[T]| {
            stop::check();
            let (mut low, mut high) = (Encodings::default(), Encodings::default());
            for (lane, item) in items.iter().enumerate() {
                let uniform = expander.uniform(item.as_ref());
                let (first, second) = uniform.split_at(ENCODED_BYTES);
                low[lane].copy_from_slice(first);
                high[lane].copy_from_slice(second);
            }
            cpu.map(&low, &high)
        };
        Self { cpu, blocks: pool::chunks(items, LANES, BLOCKS, map), len: items.len() }
    }

    pub fn decode(cpu: Ifma, encodings: &[[u8; ENCODED_BYTES]]) -> Result<Self, CurveError> {
        let decode = |block: usize, chunk: &[[u8; ENCODED_BYTES]]| {
            stop::check();
            let mut padded = Encodings::default();
            padded[..chunk.len()].copy_from_slice(chunk);
            let (point, valid) = cpu.decode(&padded);
            let refused = |lane: &usize| valid >> lane & 1 == 0 || chunk[*lane] == [0; ENCODED_BYTES];
            match (0..chunk.len()).find(refused) {
                Some(lane) => Err(CurveError::Encoding(block * LANES + lane)),
                None => Ok(point),
            }
        };
        let blocks = pool::chunks(encodings, LANES, BLOCKS, decode).into_iter().collect::<Result<_, _>>()?;
        Ok(Self { cpu, blocks, len: encodings.len() })
    }

    pub fn encode(&self) -> Vec<[u8; ENCODED_BYTES]> {
        let encode = |_: usize, point: &[Point]| {
            stop::check();
            self.cpu.encode(&point[0])
        };
        let blocks: Vec<Encodings> = pool::chunks(&self.blocks, 1, BLOCKS, encode);
        let mut encodings = blocks.into_flattened();
        encodings.truncate(self.len);
        encodings
    }

    pub fn mul(&self, scalar: &Scalar) -> Self {
        let digits = Digits::new(&Zeroizing::new(scalar.to_bytes()));
        let mul = |_: usize, point: &[Point]| {
            stop::check();
            self.cpu.mul(&point[0], &digits)
        };
        Self { cpu: self.cpu, blocks: pool::chunks(&self.blocks, 1, 1, mul), len: self.len }
    }

    /// `rows` are in range: checked by the caller.
    pub fn take(&self, rows: &[usize]) -> Self {
        let gather = |rows: &[usize]| {
            // The first row fills the lanes to spare: any point does.
            let mut block = self.blocks[rows[0] / LANES];
            for (lane, row) in rows.iter().enumerate() {
                block.set_lane(lane, &self.blocks[row / LANES], row % LANES);
            }
            block
        };
        Self { cpu: self.cpu, blocks: rows.chunks(LANES).map(gather).collect(), len: rows.len() }
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests;
