//! Montgomery arithmetic modulo one odd m, one value at a time: prime tests, proofs, and the tail of a decryption.

use zeroize::Zeroizing;

use super::limbs;

pub struct Mont {
    m: Zeroizing<Vec<u64>>,
    n0: u64,
    one: Zeroizing<Vec<u64>>, // R mod m
    r2: Zeroizing<Vec<u64>>,  // R^2 mod m
}

/// Doubles x modulo m, both of the same length, x < m.
fn double_mod(x: &mut [u64], m: &[u64]) {
    let mut top = limbs::double(x);
    limbs::reduce_once(x, &mut top, m);
}

impl Mont {
    /// m odd, at least 3.
    pub fn new(m: &[u64]) -> Mont {
        assert!(m[0] & 1 == 1 && (m.len() > 1 || m[0] > 1), "modulus must be odd and at least 3");
        let mut x = Zeroizing::new(vec![0u64; m.len()]);
        x[0] = 1;
        for _ in 0..64 * m.len() {
            double_mod(&mut x, m);
        }
        let one = x.clone();
        for _ in 0..64 * m.len() {
            double_mod(&mut x, m);
        }
        Mont { m: Zeroizing::new(m.to_vec()), n0: limbs::neg_inverse(m[0]), one, r2: x }
    }

    pub fn len(&self) -> usize {
        self.m.len()
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    pub fn modulus(&self) -> &[u64] {
        &self.m
    }

    pub fn one(&self) -> &[u64] {
        &self.one
    }

    /// a b / R mod m, fully reduced; a < R, b < m.
    pub fn mul(&self, a: &[u64], b: &[u64]) -> Zeroizing<Vec<u64>> {
        let h = self.len();
        let m = &self.m[..];
        let mut t = Zeroizing::new(vec![0u64; h]);
        let mut top = 0;
        for &x in &a[..h] {
            let (lo, mut c1) = limbs::mac(t[0], x, b[0], 0);
            let q = lo.wrapping_mul(self.n0);
            let (_, mut c2) = limbs::mac(lo, q, m[0], 0);
            for j in 1..h {
                let s;
                (s, c1) = limbs::mac(t[j], x, b[j], c1);
                (t[j - 1], c2) = limbs::mac(s, q, m[j], c2);
            }
            let s = top as u128 + c1 as u128 + c2 as u128;
            t[h - 1] = s as u64;
            top = (s >> 64) as u64;
        }
        limbs::reduce_once(&mut t, &mut top, m);
        t
    }

    pub fn enter(&self, a: &[u64]) -> Zeroizing<Vec<u64>> {
        self.mul(a, &self.r2)
    }

    pub fn leave(&self, a: &[u64]) -> Zeroizing<Vec<u64>> {
        let mut one = vec![0; self.len()];
        one[0] = 1;
        self.mul(a, &one)
    }

    /// A number of any length modulo m, in Montgomery form, by Horner's rule over chunks of m's length.
    pub fn enter_wide(&self, a: &[u64]) -> Zeroizing<Vec<u64>> {
        let h = self.len();
        let mut acc = Zeroizing::new(vec![0u64; h]);
        for chunk in a.chunks(h).rev() {
            let mut padded = Zeroizing::new(chunk.to_vec());
            padded.resize(h, 0);
            acc = self.mul(&acc, &self.r2); // times R
            self.add_assign(&mut acc, &self.enter(&padded));
        }
        acc
    }

    pub fn add_assign(&self, a: &mut [u64], b: &[u64]) {
        let mut top = limbs::add_assign(a, b);
        limbs::reduce_once(a, &mut top, &self.m);
    }

    pub fn sub_assign(&self, a: &mut [u64], b: &[u64]) {
        let mut rest = Zeroizing::new(self.m.to_vec()); // m - b, then add
        limbs::sub_assign(&mut rest, b);
        self.add_assign(a, &rest);
    }

    /// base^exponent, base and result in Montgomery form.  Fixed windows of four bits, the table scanned: time depends on the exponent's length only.
    pub fn pow(&self, base: &[u64], exponent: &[u64]) -> Zeroizing<Vec<u64>> {
        let mut table = vec![self.one.clone(), Zeroizing::new(base.to_vec())];
        for i in 2..16 {
            table.push(self.mul(&table[i - 1], base));
        }
        let mut acc = self.one.clone();
        let mut chosen = Zeroizing::new(vec![0u64; self.len()]);
        for at in (0..16 * exponent.len()).rev() {
            for _ in 0..4 {
                acc = self.mul(&acc, &acc);
            }
            let digit = limbs::bits(exponent, 4 * at, 4);
            chosen.fill(0);
            for (i, entry) in table.iter().enumerate() {
                let differs = i as u64 ^ digit;
                let mask = ((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1);
                for (c, e) in chosen.iter_mut().zip(entry.iter()) {
                    *c |= e & mask;
                }
            }
            acc = self.mul(&acc, &chosen);
        }
        acc
    }
}
