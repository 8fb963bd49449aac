//! The private key.  Everything here that touches p, q or an exponent made of them runs in constant time (fixed windows, scanned tables,
//! masked corrections), keeps its intermediate values in memory that is wiped, and never prints.

use std::sync::Arc;

use num_bigint::BigUint;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::HEADROOM;
use super::cipher::CipherVec;
use super::fixed_base::FixedBase;
use super::public::{PublicKey, djn_base};
use crate::bigint::mont::Mont;
use crate::bigint::ring::{Backend, Ring};
use crate::bigint::rows::Rows;
use crate::bigint::{inverse, limbs, prime};
use crate::error::{Error, Result, require};
use crate::plain::PlainVec;
use crate::pool::Pool;
use crate::random::{self, Seed, Streams};

type Secret = Zeroizing<Vec<u64>>;

/// One prime's side of the Chinese remainder theorem.
struct Half {
    mont: Mont,
    ring: Ring, // modulo p^2
    /// p - 1.
    order: Secret,
    /// -q mod p and its inverse, in Montgomery form: c^(p-1) = 1 - m q p (mod p^2).
    minus_other: Secret,
    minus_other_inverse: Secret,
    base: FixedBase,
    /// e R^3 modulo n^2 where e is 1 modulo p^2 and 0 modulo q^2.
    idempotent: Rows,
}

pub struct PrivateKey {
    public: Arc<PublicKey>,
    p: Half,
    q: Half,
    /// q^-1 mod p, in Montgomery form.
    q_inverse: Secret,
}

impl Drop for Half {
    fn drop(&mut self) {
        self.idempotent.wipe();
    }
}

/// Where a test may spoil an intermediate value of one half: (stage, is it p's half, limbs or rows).
pub type Spoiler<'a> = &'a (dyn Fn(Stage, bool, &mut [u64]) + Sync);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The ciphertext modulo p^2.
    Reduced,
    /// Its power.
    Power,
    /// L of the power.
    Quotient,
    /// The plaintext modulo p.
    Residue,
    /// The recombined plaintext.
    Joined,
}

impl Half {
    fn new(p: &[u64], q: &[u64], h_s: &[u64], public: &PublicKey) -> Half {
        let mont = Mont::new(p);
        let mut order = Zeroizing::new(p.to_vec());
        order[0] -= 1;
        let mut exponent = order.clone(); // p - 2: inverses by Fermat
        limbs::sub_assign(&mut exponent, &[1]);
        let mut minus_other = Zeroizing::new(vec![0u64; p.len()]);
        mont.sub_assign(&mut minus_other, &mont.enter_wide(q));
        let minus_other_inverse = mont.pow(&minus_other, &exponent);
        let ring = Ring::new(p, public.backend(), public.products.clone(), 1);
        let base = FixedBase::new(ring.import(h_s, h_s.len()));

        // e = q^2 (q^-2 mod p^2), the inverse by q^-2 = (q^2)^(p (p - 1) - 1)
        let mut square = Zeroizing::new(vec![0u64; 2 * q.len()]);
        limbs::square(&mut square, q);
        let mut inverse = ring.import(&square, square.len());
        let mut exponent = Zeroizing::new(vec![0u64; 2 * p.len()]);
        limbs::mul(&mut exponent, p, &order);
        limbs::sub_assign(&mut exponent, &[1]);
        ring.power_secret(&mut inverse, &exponent, 128 * p.len());
        let plain = ring.export(&inverse, |_, a, b| ring.join(a, b)).remove(0);
        inverse.wipe();
        let mut e = Zeroizing::new(vec![0u64; square.len() + plain.len()]);
        limbs::mul(&mut e, &square, &plain);
        let mut idempotent = public.ring.import(&e, e.len());
        for _ in 0..2 {
            let next = public.ring.times_radix(&idempotent);
            idempotent.wipe();
            idempotent = next;
        }
        Half { mont, ring, order, minus_other, minus_other_inverse, base, idempotent }
    }

    /// Plaintexts modulo p from ciphertexts (integers below n^2, `width` limbs each), each step checked against another:
    /// - the input, reduced a second time after it was raised;
    /// - a power c^(p-1) = 1 + L p, whose first half must be one; the second halves by one more power, of the product of all inputs: L is
    ///   additive, so that its L is the sum of theirs;
    /// - the quotient, by the way back.
    fn open(&self, values: &[u64], width: usize, first: bool, spoil: Option<Spoiler>) -> Result<Vec<Secret>> {
        let fault = Error::Fault("a decryption contradicted itself");
        let hit = |stage, data: &mut [u64]| {
            if let Some(spoil) = spoil {
                spoil(stage, first, data);
            }
        };
        let len = values.len() / width;
        let w = self.ring.width();
        let mut inputs = self.ring.import(values, width);
        hit(Stage::Reduced, &mut inputs);
        let all: Vec<u32> = (0..len as u32).collect();
        let mut product = self.ring.segments(&inputs, &[0, len], &all);
        let mut powers = self.ring.rows(len + 1);
        powers[..len * w].copy_from_slice(&inputs);
        powers[len * w..].copy_from_slice(&product);
        product.wipe();
        self.ring.power_secret(&mut powers, &self.order, 64 * self.order.len());
        hit(Stage::Power, &mut powers);
        let mut again = self.ring.import(values, width);
        let same = limbs::equal(&inputs, &again);
        inputs.wipe();
        again.wipe();
        let quotients = self.ring.export(&powers, |_, a, b| {
            let unit = a[0] == 1 && limbs::is_zero(&a[1..]);
            unit.then(|| Zeroizing::new(b.to_vec()))
        });
        powers.wipe();
        let mut quotients = quotients.into_iter().collect::<Option<Vec<Secret>>>().ok_or(fault)?;
        let mut total = quotients.pop().ok_or(fault)?;
        quotients.iter().for_each(|l| self.mont.sub_assign(&mut total, l));
        if !same || !limbs::is_zero(&total) {
            return Err(fault);
        }
        let opened: Result<Vec<Secret>> = quotients
            .par_iter()
            .map(|quotient| {
                let mut copy = quotient.clone();
                hit(Stage::Quotient, &mut copy);
                let mut m = self.mont.leave(&self.mont.mul(&self.mont.enter(&copy), &self.minus_other_inverse));
                hit(Stage::Residue, &mut m);
                if limbs::equal(&self.mont.mul(&m, &self.minus_other), quotient) { Ok(m) } else { Err(fault) }
            })
            .collect();
        opened
    }

    /// h_s^alpha modulo p^2 as integers, `2 p.len()` limbs each.
    fn factors(&self, streams: Streams<'_>, len: usize, bits: usize) -> Result<Vec<Secret>> {
        let mut powers = self.base.powers(&self.ring, streams, len, bits)?;
        let out = self.ring.export(&powers, |_, a, b| self.ring.join(a, b));
        powers.wipe();
        Ok(out)
    }
}

/// Whether (p - 1) / 2 and (q - 1) / 2 have no factor in common: then the squares modulo n are cyclic, and h_s generates nearly all of them.
pub(crate) fn apart(p: &[u64], q: &[u64]) -> bool {
    inverse::secret(&prime::shift_right(p, 1), &prime::shift_right(q, 1)).is_some()
}

impl PrivateKey {
    /// Deterministic in the seed; `bits` a multiple of 16, at least 64.
    pub fn generate(bits: usize, seed: &Seed, backend: Backend, pool: Pool) -> Result<PrivateKey> {
        require(
            (64..=super::MAX_BITS).contains(&bits) && bits.is_multiple_of(16),
            "bits must be a multiple of 16 from 64 on",
        )?;
        for attempt in 0u64.. {
            let half = |i: u64| prime::find(bits / 2, &mut random::stream(seed, 2 * attempt + i));
            let (p, q) = pool.install(|| rayon::join(|| half(0), || half(1)));
            if !apart(&p, &q) {
                continue;
            }
            if let Ok(key) = PrivateKey::from_primes(&p, &q, backend, pool.clone()) {
                return Ok(key);
            }
        }
        unreachable!("the search above does not end without a key")
    }

    fn from_primes(p: &[u64], q: &[u64], backend: Backend, pool: Pool) -> Result<PrivateKey> {
        // equal sizes: p cannot divide q - 1, so gcd(n, phi(n)) = 1 as soon as they differ
        if limbs::equal(p, q) {
            return Err(Error::Invalid("p and q are equal"));
        }
        let mut product = vec![0u64; p.len() + q.len()];
        limbs::mul(&mut product, p, q);
        let n = limbs::to_big(&product);
        if n.bits() as usize != 2 * limbs::bit_length_vartime(p) || !n.bits().is_multiple_of(8) {
            return Err(Error::Invalid("n has no permitted size"));
        }
        pool.clone().install(|| {
            let h_s = djn_base(&n);
            let public = Arc::new(PublicKey::trusted(&n, backend, pool, Some(h_s.clone())));
            let h_s = limbs::from_big(&h_s, 2 * public.limbs().len());
            let (p, q) = (Half::new(p, q, &h_s, &public), Half::new(q, p, &h_s, &public));
            // -(-q)^-1 = q^-1
            let mut q_inverse = Zeroizing::new(vec![0u64; p.mont.len()]);
            p.mont.sub_assign(&mut q_inverse, &p.minus_other_inverse);
            Ok(PrivateKey { public, p, q, q_inverse })
        })
    }

    /// p, then q, little-endian, equal lengths.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let size = self.public.bits() / 16;
        let mut out = Zeroizing::new(Vec::with_capacity(2 * size));
        for half in [&self.p, &self.q] {
            out.extend_from_slice(&Zeroizing::new(limbs::to_le_bytes(half.mont.modulus(), size)));
        }
        out
    }

    pub fn from_bytes(data: &[u8], backend: Backend, pool: Pool) -> Result<PrivateKey> {
        let size = data.len() / 2;
        if !data.len().is_multiple_of(2) || !(4..=super::MAX_BITS / 16).contains(&size) {
            return Err(Error::Invalid("a private key has no such length"));
        }
        let parse = |bytes: &[u8]| Zeroizing::new(limbs::from_le_bytes(bytes, size.div_ceil(8)));
        let (p, q) = (parse(&data[..size]), parse(&data[size..]));
        let seed = random::fresh_seed()?;
        for (i, x) in [&p, &q].into_iter().enumerate() {
            let shaped = limbs::bit_length_vartime(x) == 8 * size && x[0] % 4 == 3;
            if !shaped || !prime::is_probable_prime(x, 20, &mut random::stream(&seed, i as u64)) {
                return Err(Error::Invalid("not the primes of a key"));
            }
        }
        PrivateKey::from_primes(&p, &q, backend, pool)
    }

    pub fn public(&self) -> &Arc<PublicKey> {
        &self.public
    }

    pub(crate) fn primes(&self) -> (&Mont, &Mont) {
        (&self.p.mont, &self.q.mont)
    }

    /// x mod n from x mod p and x mod q (plain limbs): x_q + q ((x_p - x_q) / q mod p).
    pub(crate) fn join(&self, x_p: &[u64], x_q: &[u64]) -> Secret {
        let mont = &self.p.mont;
        let mut t = mont.enter(x_p);
        mont.sub_assign(&mut t, &mont.enter_wide(x_q));
        let t = mont.leave(&mont.mul(&t, &self.q_inverse));
        let mut out = Zeroizing::new(vec![0u64; 2 * t.len()]);
        limbs::mul(&mut out, &t, self.q.mont.modulus());
        limbs::add_assign(&mut out, x_q);
        out.truncate(self.public.limbs().len());
        out
    }

    /// As the public key's `encrypt`, with h_s^alpha taken modulo p^2 and q^2.
    pub fn encrypt<'a>(
        &self,
        plain: &PlainVec,
        streams: impl Into<Streams<'a>>,
        exponent_bits: usize,
    ) -> Result<CipherVec> {
        let streams = streams.into();
        self.public.check_plain(plain)?;
        let ring = &self.public.ring;
        self.public.pool.install(|| {
            let mut sides: Vec<Rows> = [&self.p, &self.q]
                .into_iter()
                .map(|half| {
                    let powers = half.factors(streams, plain.len(), exponent_bits)?;
                    let mut rows = ring.put_all(plain.len(), |i, a, _| {
                        let n = a.len().min(powers[i].len());
                        a[..n].copy_from_slice(&powers[i][..n]);
                    });
                    let out = ring.multiply_at(plain.len(), (&rows, |i| i), (&half.idempotent, |_| 0));
                    rows.wipe();
                    Ok(out)
                })
                .collect::<Result<_>>()?;
            let mut factors = sides[0].clone();
            ring.add_assign(&mut factors, &sides[1]);
            sides.iter_mut().for_each(Rows::wipe); // each is zero modulo the other prime
            Ok(CipherVec::from_rows(self.public.clone(), ring.multiply(&factors, &self.public.raw_lift(plain))))
        })
    }

    pub fn decrypt(&self, ciphers: &CipherVec) -> Result<PlainVec> {
        let plain = self.decrypt_whole(ciphers)?;
        if plain.max_bits() > self.public.bits() - HEADROOM {
            return Err(Error::Overflow("a plaintext is beyond its head-room"));
        }
        Ok(plain)
    }

    /// The same of any plaintext in (-n/2, n/2): for masks that are uniform over all of them.
    pub fn decrypt_whole(&self, ciphers: &CipherVec) -> Result<PlainVec> {
        self.decrypt_spoiled(ciphers, None)
    }

    /// `spoil` is for tests: it may change an intermediate value, and the result must then be withheld.
    #[doc(hidden)]
    pub fn decrypt_spoiled(&self, ciphers: &CipherVec, spoil: Option<Spoiler>) -> Result<PlainVec> {
        let public = &self.public;
        if ciphers.key().fingerprint() != public.fingerprint() {
            return Err(Error::Argument("a ciphertext under another key"));
        }
        let seed = random::fresh_seed()?;
        public.pool.install(|| {
            // blinded: what is raised to p - 1 is never what came in
            let blinded = public.factors((&*seed).into(), ciphers.len(), BLINDING, ciphers.rows())?;
            let width = 2 * public.limbs().len();
            let values = public.ring.export(&blinded, |_, a, b| public.ring.join(a, b)).concat_all(width);
            // side by side: what one half does on one thread overlaps with the other half
            let (m_p, m_q) =
                rayon::join(|| self.p.open(&values, width, true, spoil), || self.q.open(&values, width, false, spoil));
            let (m_p, m_q) = (m_p?, m_q?);
            let words = public.limbs().len() + 1;
            let mut out = vec![0u64; ciphers.len() * words];
            out.par_chunks_exact_mut(words)
                .zip(m_p.into_par_iter().zip(m_q))
                .try_for_each(|(row, (m_p, m_q))| self.recombine(row, &m_p, &m_q, spoil))?;
            Ok(PlainVec::from_limbs(out, words))
        })
    }

    fn recombine(&self, row: &mut [u64], m_p: &[u64], m_q: &[u64], spoil: Option<Spoiler>) -> Result<()> {
        let n = self.public.limbs();
        let mut m = self.join(m_p, m_q);
        if let Some(spoil) = spoil {
            spoil(Stage::Joined, true, &mut m);
        }
        // the joined value must give back both of its parts
        let part = |mont: &Mont| mont.leave(&mont.enter_wide(&m));
        if !limbs::equal(&part(&self.p.mont), m_p) || !limbs::equal(&part(&self.q.mont), m_q) {
            return Err(Error::Fault("a decryption contradicted itself"));
        }
        // centre: subtract n where 2 m > n
        let mut twice = Zeroizing::new(m.to_vec());
        twice.push(0);
        limbs::double(&mut twice);
        let mut borrow = Zeroizing::new(n.to_vec());
        borrow.push(0);
        let above = limbs::sub_assign(&mut borrow, &twice).wrapping_neg(); // all ones when 2 m > n
        let len = n.len();
        row[..len].copy_from_slice(&m[..len]);
        row[len] = 0;
        let masked: Secret = Zeroizing::new(n.iter().map(|x| x & above).collect());
        limbs::sub_assign(row, &masked);
        Ok(())
    }
}

/// Bits of the exponent that blinds a decryption: enough that no one can guess what is being raised.
const BLINDING: usize = 128;

trait Concat {
    fn concat_all(self, width: usize) -> Secret;
}

impl Concat for Vec<Secret> {
    fn concat_all(self, width: usize) -> Secret {
        let mut out = Zeroizing::new(Vec::with_capacity(self.len() * width));
        self.iter().for_each(|x| out.extend_from_slice(x));
        out
    }
}

#[cfg(test)]
impl PrivateKey {
    /// Words at the front of a row of a half's ring that certainly hold limbs.
    pub(crate) fn half_width(&self) -> usize {
        2 * self.p.mont.len()
    }
}

/// p and q as integers, for tests against other implementations.
#[doc(hidden)]
pub fn primes_of(key: &PrivateKey) -> (BigUint, BigUint) {
    (limbs::to_big(key.p.mont.modulus()), limbs::to_big(key.q.mont.modulus()))
}
