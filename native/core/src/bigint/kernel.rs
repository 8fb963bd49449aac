//! What a backend must do: multiply `LANES` pairs at a time, and move pairs between rows in memory and its working layout.

/// Arithmetic on pairs (a, b) = a + b m modulo m^2 in Montgomery form (see the module above).  A *row* is one pair in memory, a *block* is
/// `LANES` pairs in the layout the arithmetic wants.
pub trait Kernel: Send + Sync {
    const LANES: usize;
    type Block: Send + Sync;

    /// m odd, at least 3, little-endian limbs.
    fn new(m: &[u64]) -> Self;
    /// log2 of the Montgomery radix R.
    fn radix_bits(&self) -> usize;
    /// Words in a row.
    fn width(&self) -> usize;
    fn block(&self) -> Self::Block;

    /// Lane l takes row index[l]; index has `LANES` entries, each a valid row.
    fn gather(&self, out: &mut Self::Block, rows: &[u64], index: &[usize]);
    /// Every lane takes the one row.
    fn broadcast(&self, out: &mut Self::Block, row: &[u64]);
    fn set_lane(&self, block: &mut Self::Block, lane: usize, row: &[u64]);
    fn get_lane(&self, block: &Self::Block, lane: usize, row: &mut [u64]);
    /// Lanes 0..live to the rows first, first + 1, ...
    fn scatter(&self, block: &Self::Block, rows: &mut [u64], first: usize, live: usize) {
        let w = self.width();
        for l in 0..live {
            self.get_lane(block, l, &mut rows[(first + l) * w..(first + l + 1) * w]);
        }
    }
    fn copy(&self, out: &mut Self::Block, from: &Self::Block);
    /// out = entries[digit] in every lane, at most 64 of them; every entry is read, and nothing branches on the digit.
    fn choose(&self, out: &mut Self::Block, entries: &[Self::Block], digit: u64);

    /// acc *= b.  One operand may have a lazy half a < R, provided that the other is fully reduced.
    fn mul(&self, acc: &mut Self::Block, b: &Self::Block);
    fn sqr(&self, acc: &mut Self::Block);
    fn add(&self, acc: &mut Self::Block, b: &Self::Block);

    /// The first half of acc *= that of b; the second half of acc means nothing then.
    fn mul_first(&self, acc: &mut Self::Block, b: &Self::Block);
    /// acc = its inverse, of which `first` holds the first half (what else it holds does not matter).  `one` is one in every lane, reduced.
    fn inverse(&self, acc: &mut Self::Block, first: &Self::Block, one: &Self::Block);
    /// Words of a row without its second half.
    fn first_width(&self) -> usize;
    /// `gather` and `scatter` for first halves, whose rows are `stride` words apart: `width` or `first_width`.
    fn gather_first(&self, out: &mut Self::Block, rows: &[u64], stride: usize, index: &[usize]);
    fn scatter_first(&self, block: &Self::Block, rows: &mut [u64], first: usize, live: usize);

    /// Plain limbs of 64 bits into a row; a < R, b < m.
    fn put(&self, row: &mut [u64], a: &[u64], b: &[u64]);
    /// The halves of a row as they stand, 64-bit limbs of m's length plus one.
    fn get(&self, row: &[u64], a: &mut [u64], b: &mut [u64]);
    /// Asks the cache for a row that will be gathered soon.
    fn prefetch(&self, _rows: &[u64], _index: usize) {}
}
