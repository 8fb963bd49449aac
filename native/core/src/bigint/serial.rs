//! The portable backend: one pair at a time, 64-bit limbs, results fully reduced (a, b < m).

use zeroize::Zeroize;

use super::kernel::Kernel;
use super::limbs::{self, mac};

pub struct Serial {
    m: Vec<u64>,
    n0: u64,
    /// -(R - 1) mod m: the complement of the quotient stands for its negative (see `mul`).
    c0: Vec<u64>,
}

pub struct Block {
    v: Vec<u64>,    // a, then b
    work: Vec<u64>, // products, quotient
}

impl Drop for Serial {
    fn drop(&mut self) {
        self.m.zeroize();
        self.c0.zeroize();
        self.n0.zeroize();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.v.zeroize();
        self.work.zeroize();
    }
}

/// u + v m from u < 2m and v < 3m - 1, both with a limb above: whole multiples of m leave u into v, and v modulo m.
fn settle(m: &[u64], u: &mut [u64], u_top: &mut u64, v: &mut [u64], v_top: &mut u64) {
    let moved = limbs::reduce_once(u, u_top, m);
    *v_top += limbs::add_assign(v, &[moved]);
    limbs::reduce_once(v, v_top, m);
    limbs::reduce_once(v, v_top, m);
}

impl Serial {
    /// Montgomery's reduction of t (2h limbs and a top): the quotient's digits go to q, the result is t[h..] with the returned limb above.
    #[inline(always)]
    fn reduce(&self, t: &mut [u64], mut top: u64, q: &mut [u64]) -> u64 {
        let h = self.m.len();
        let m = &self.m[..h];
        let mut above = 0u64;
        for i in 0..h {
            let digit = t[i].wrapping_mul(self.n0);
            q[i] = digit;
            let mut carry = 0;
            for (x, &y) in t[i..i + h].iter_mut().zip(m) {
                (*x, carry) = mac(*x, digit, y, carry);
            }
            let s = t[i + h] as u128 + carry as u128 + above as u128;
            t[i + h] = s as u64;
            above = (s >> 64) as u64;
        }
        top += above;
        top
    }

    /// u R = u + x y + q m, reduced as it is built; u with a limb above, before and after.
    #[inline(always)]
    fn product(&self, u: &mut [u64], mut top: u64, q: &mut [u64], x: &[u64], y: &[u64]) -> u64 {
        let h = self.m.len();
        let (m, u, q, x, y) = (&self.m[..h], &mut u[..h], &mut q[..h], &x[..h], &y[..h]);
        for i in 0..h {
            let x = x[i];
            let (lo, mut c1) = mac(u[0], x, y[0], 0);
            let digit = lo.wrapping_mul(self.n0);
            q[i] = digit;
            let (_, mut c2) = mac(lo, digit, m[0], 0);
            for j in 1..h {
                let s;
                (s, c1) = mac(u[j], x, y[j], c1);
                (u[j - 1], c2) = mac(s, digit, m[j], c2);
            }
            let s = top as u128 + c1 as u128 + c2 as u128;
            u[h - 1] = s as u64;
            top = (s >> 64) as u64;
        }
        top
    }
}

impl Kernel for Serial {
    const LANES: usize = 1;
    type Block = Block;

    fn new(m: &[u64]) -> Serial {
        // -(R - 1) = m - (R mod m) + 1 (mod m)
        let mut r = vec![0u64; m.len()];
        r[0] = 1;
        for _ in 0..64 * m.len() {
            let mut top = limbs::double(&mut r);
            limbs::reduce_once(&mut r, &mut top, m);
        }
        let mut c0 = m.to_vec();
        limbs::sub_assign(&mut c0, &r);
        let mut top = limbs::add_assign(&mut c0, &[1]);
        limbs::reduce_once(&mut c0, &mut top, m);
        r.zeroize();
        Serial { m: m.to_vec(), n0: limbs::neg_inverse(m[0]), c0 }
    }

    fn radix_bits(&self) -> usize {
        64 * self.m.len()
    }

    fn width(&self) -> usize {
        2 * self.m.len()
    }

    fn block(&self) -> Block {
        let h = self.m.len();
        Block { v: vec![0; 2 * h], work: vec![0; 5 * h + 2] }
    }

    fn gather(&self, out: &mut Block, rows: &[u64], index: &[usize]) {
        let w = self.width();
        out.v.copy_from_slice(&rows[index[0] * w..][..w]);
    }

    fn broadcast(&self, out: &mut Block, row: &[u64]) {
        out.v.copy_from_slice(row);
    }

    fn set_lane(&self, block: &mut Block, _lane: usize, row: &[u64]) {
        block.v.copy_from_slice(row);
    }

    fn get_lane(&self, block: &Block, _lane: usize, row: &mut [u64]) {
        row.copy_from_slice(&block.v);
    }

    fn copy(&self, out: &mut Block, from: &Block) {
        out.v.copy_from_slice(&from.v);
    }

    fn choose(&self, out: &mut Block, entries: &[Block], digit: u64) {
        out.v.fill(0);
        for (i, entry) in entries.iter().enumerate() {
            let differs = i as u64 ^ digit;
            let mask = ((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1);
            for (x, y) in out.v.iter_mut().zip(&entry.v) {
                *x |= y & mask;
            }
        }
    }

    fn mul(&self, acc: &mut Block, b: &Block) {
        let h = self.m.len();
        let m = &self.m[..h];
        let (a1, b1) = acc.v.split_at_mut(h);
        let (a2, b2) = b.v.split_at(h);
        let (a2, b2) = (&a2[..h], &b2[..h]);
        let (u, rest) = acc.work.split_at_mut(h);
        let (v, rest) = rest.split_at_mut(h);
        let q = &mut rest[..h];

        // u R = a1 a2 + q m, reduced as it is built
        u.fill(0);
        let mut u_top = self.product(u, 0, q, a1, a2);

        // v R = a1 b2 + b1 a2 - q + q' m, with -q = ~q - (R - 1) = ~q + c0 (mod m)
        for (x, y) in v.iter_mut().zip(q.iter()) {
            *x = !*y;
        }
        let mut v_top = limbs::add_assign(v, &self.c0);
        for i in 0..h {
            let (x, y) = (a1[i], b1[i]);
            let (s, mut c1) = mac(v[0], x, b2[0], 0);
            let (s, mut c2) = mac(s, y, a2[0], 0);
            let digit = s.wrapping_mul(self.n0);
            let (_, mut c3) = mac(s, digit, m[0], 0);
            for j in 1..h {
                let (s, t);
                (s, c1) = mac(v[j], x, b2[j], c1);
                (t, c2) = mac(s, y, a2[j], c2);
                (v[j - 1], c3) = mac(t, digit, m[j], c3);
            }
            let s = v_top as u128 + c1 as u128 + c2 as u128 + c3 as u128;
            v[h - 1] = s as u64;
            v_top = (s >> 64) as u64;
        }
        settle(m, u, &mut u_top, v, &mut v_top);
        a1.copy_from_slice(u);
        b1.copy_from_slice(v);
    }

    fn sqr(&self, acc: &mut Block) {
        let h = self.m.len();
        let (a, b) = acc.v.split_at_mut(h);
        let (u, rest) = acc.work.split_at_mut(2 * h);
        let (v, rest) = rest.split_at_mut(2 * h);
        let q = &mut rest[..h];
        limbs::square(u, a);
        let mut u_top = self.reduce(u, 0, q);
        limbs::mul(v, a, b);
        let mut v_top = limbs::double(v);
        v_top += limbs::add_assign(v, &self.c0);
        for x in q.iter_mut() {
            *x = !*x;
        }
        v_top += limbs::add_assign(v, q);
        let mut v_top = self.reduce(v, v_top, q);
        settle(&self.m, &mut u[h..], &mut u_top, &mut v[h..], &mut v_top);
        a.copy_from_slice(&u[h..]);
        b.copy_from_slice(&v[h..]);
    }

    fn add(&self, acc: &mut Block, b: &Block) {
        let h = self.m.len();
        let (u, v) = acc.v.split_at_mut(h);
        let mut u_top = limbs::add_assign(u, &b.v[..h]);
        let mut v_top = limbs::add_assign(v, &b.v[h..]);
        settle(&self.m, u, &mut u_top, v, &mut v_top);
    }

    fn first_width(&self) -> usize {
        self.m.len()
    }

    fn gather_first(&self, out: &mut Block, rows: &[u64], stride: usize, index: &[usize]) {
        let h = self.m.len();
        out.v[..h].copy_from_slice(&rows[index[0] * stride..][..h]);
    }

    fn scatter_first(&self, block: &Block, rows: &mut [u64], first: usize, _live: usize) {
        let h = self.m.len();
        rows[first * h..(first + 1) * h].copy_from_slice(&block.v[..h]);
    }

    fn mul_first(&self, acc: &mut Block, b: &Block) {
        let h = self.m.len();
        let (u, rest) = acc.work.split_at_mut(h);
        u.fill(0);
        let mut top = self.product(u, 0, rest, &acc.v, &b.v);
        limbs::reduce_once(u, &mut top, &self.m);
        acc.v[..h].copy_from_slice(u);
    }

    fn inverse(&self, acc: &mut Block, first: &Block, one: &Block) {
        let h = self.m.len();
        let (a, b) = acc.v.split_at_mut(h);
        let (u, rest) = acc.work.split_at_mut(h);
        let (v, q) = rest.split_at_mut(h);
        u.fill(0);
        let u_top = self.product(u, 0, q, a, &first.v);
        // u, below 2m, is the first half of one or that plus m: a whole m that belongs into v
        let moved = u64::from(u_top != 0 || !limbs::equal(u, &one.v[..h]));
        for (x, y) in v.iter_mut().zip(q.iter()) {
            *x = !*y;
        }
        let top = limbs::add_assign(v, &self.c0);
        let mut top = self.product(v, top, q, b, &first.v);
        top += limbs::add_assign(v, &[moved]);
        limbs::reduce_once(v, &mut top, &self.m);
        limbs::reduce_once(v, &mut top, &self.m);
        // b = first (one - v)
        u.copy_from_slice(&self.m);
        limbs::sub_assign(u, v);
        let mut top = limbs::add_assign(u, &one.v[h..]);
        limbs::reduce_once(u, &mut top, &self.m);
        v.fill(0);
        let mut top = self.product(v, 0, q, u, &first.v);
        limbs::reduce_once(v, &mut top, &self.m);
        a.copy_from_slice(&first.v[..h]);
        b.copy_from_slice(v);
    }

    fn put(&self, row: &mut [u64], a: &[u64], b: &[u64]) {
        let h = self.m.len();
        row.fill(0);
        row[..a.len().min(h)].copy_from_slice(&a[..a.len().min(h)]);
        row[h..h + b.len().min(h)].copy_from_slice(&b[..b.len().min(h)]);
    }

    fn get(&self, row: &[u64], a: &mut [u64], b: &mut [u64]) {
        let h = self.m.len();
        a[..h].copy_from_slice(&row[..h]);
        b[..h].copy_from_slice(&row[h..2 * h]);
        a[h] = 0;
        b[h] = 0;
    }
}
