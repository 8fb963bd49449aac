//! Algorithms over a kernel, on one thread.  They return the number of products they computed.

use zeroize::Zeroizing;

use super::kernel::Kernel;
use super::limbs;

/// out[i] = a[ia(i)] * b[ib(i)] for every row of out.
pub fn multiply<K: Kernel>(
    k: &K,
    (a, ia): (&[u64], impl Fn(usize) -> usize),
    (b, ib): (&[u64], impl Fn(usize) -> usize),
    out: &mut [u64],
) -> u64 {
    let len = out.len() / k.width();
    let (mut x, mut y) = (k.block(), k.block());
    let mut index = vec![0usize; K::LANES];
    for at in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - at);
        let lane = |l: usize| at + l.min(live - 1);
        index.iter_mut().enumerate().for_each(|(l, i)| *i = ia(lane(l)));
        k.gather(&mut x, a, &index);
        index.iter_mut().enumerate().for_each(|(l, i)| *i = ib(lane(l)));
        k.gather(&mut y, b, &index);
        k.mul(&mut x, &y);
        k.scatter(&x, out, at, live);
    }
    len as u64
}

/// As `multiply`, first halves alone; rows of `first_width`.
pub fn multiply_firsts<K: Kernel>(
    k: &K,
    (a, ia): (&[u64], impl Fn(usize) -> usize),
    (b, ib): (&[u64], impl Fn(usize) -> usize),
    out: &mut [u64],
) {
    let stride = k.first_width();
    let len = out.len() / stride;
    let (mut x, mut y) = (k.block(), k.block());
    for at in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - at);
        let lanes = |of: &dyn Fn(usize) -> usize| (0..K::LANES).map(|l| of(at + l.min(live - 1))).collect::<Vec<_>>();
        k.gather_first(&mut x, a, stride, &lanes(&ia));
        k.gather_first(&mut y, b, stride, &lanes(&ib));
        k.mul_first(&mut x, &y);
        k.scatter_first(&x, out, at, live);
    }
}

/// Lane l runs through the rows l, l + LANES, ...: before[i] = the product of the rows before i in its lane, ends[l] that of all; first halves.
pub fn running_firsts<K: Kernel>(k: &K, rows: &[u64], one: &[u64], before: &mut [u64], ends: &mut [u64]) {
    let w = k.width();
    let len = rows.len() / w;
    let (mut acc, mut x) = (k.block(), k.block());
    k.broadcast(&mut acc, one);
    for at in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - at);
        k.scatter_first(&acc, before, at, live);
        k.gather_first(&mut x, rows, w, &(0..K::LANES).map(|l| at + l.min(live - 1)).collect::<Vec<_>>());
        (live..K::LANES).for_each(|l| k.set_lane(&mut x, l, one));
        k.mul_first(&mut acc, &x);
    }
    k.scatter_first(&acc, ends, 0, K::LANES);
}

/// All rows to their inverses, from what `running_firsts` left in before, and from the inverses of its ends.
pub fn inverses<K: Kernel>(k: &K, rows: &mut [u64], one: &[u64], before: &[u64], ends: &[u64]) {
    let stride = k.first_width();
    let len = rows.len() / k.width();
    let (mut acc, mut x, mut first, mut ones) = (k.block(), k.block(), k.block(), k.block());
    k.broadcast(&mut ones, one);
    k.gather_first(&mut acc, ends, stride, &(0..K::LANES).collect::<Vec<_>>());
    for at in (0..len).step_by(K::LANES).rev() {
        let live = K::LANES.min(len - at);
        let index: Vec<usize> = (0..K::LANES).map(|l| at + l.min(live - 1)).collect();
        k.gather(&mut x, rows, &index);
        (live..K::LANES).for_each(|l| k.set_lane(&mut x, l, one));
        k.gather_first(&mut first, before, stride, &index);
        k.mul_first(&mut first, &acc);
        k.mul_first(&mut acc, &x);
        k.inverse(&mut x, &first, &ones);
        k.scatter(&x, rows, at, live);
    }
}

/// out[s] = the product of table[i] over i in index[offsets[s]..offsets[s + 1]]; `one` where that is empty.  Each lane walks its own segment
/// and takes the next one when it is through, so segments may have any lengths.
pub fn segments<K: Kernel>(
    k: &K,
    table: &[u64],
    one: &[u64],
    offsets: &[usize],
    index: &[u32],
    out: &mut [u64],
) -> u64 {
    let w = k.width();
    let count = offsets.len() - 1;
    let mut order: Vec<u32> = (0..count as u32).collect();
    let length = |s: u32| offsets[s as usize + 1] - offsets[s as usize];
    if order.windows(2).any(|p| length(p[0]) != length(p[1])) {
        order.sort_by_key(|&s| std::cmp::Reverse(length(s)));
    }
    let mut queue = order.into_iter();
    let (mut acc, mut operand) = (k.block(), k.block());
    let mut lanes: Vec<Option<(usize, usize, usize)>> = vec![None; K::LANES]; // segment, next, end
    let mut rows = vec![0usize; K::LANES];
    let mut products = 0;
    loop {
        let mut live = 0;
        for (l, lane) in lanes.iter_mut().enumerate() {
            while lane.is_none() {
                let Some(s) = queue.next() else { break };
                let s = s as usize;
                let target = &mut out[s * w..(s + 1) * w];
                match offsets[s + 1] - offsets[s] {
                    0 => target.copy_from_slice(one),
                    1 => target.copy_from_slice(&table[index[offsets[s]] as usize * w..][..w]),
                    _ => {
                        k.set_lane(&mut acc, l, &table[index[offsets[s]] as usize * w..][..w]);
                        *lane = Some((s, offsets[s] + 1, offsets[s + 1]));
                    }
                }
            }
            if let Some((_, next, end)) = lane {
                rows[l] = index[*next] as usize;
                *next += 1;
                live += 1;
                if next < end {
                    k.prefetch(table, index[*next] as usize);
                }
            }
        }
        if live == 0 {
            return products;
        }
        k.gather(&mut operand, table, &rows);
        k.mul(&mut acc, &operand);
        products += live;
        for (l, lane) in lanes.iter_mut().enumerate() {
            if let Some((s, next, end)) = *lane
                && next == end
            {
                k.get_lane(&acc, l, &mut out[s * w..(s + 1) * w]);
                *lane = None;
            }
        }
    }
}

/// The window width that makes a fixed-window power cheapest: 2^w - 2 products of table, one a window.
pub fn window(bits: usize) -> usize {
    (1..=6).min_by_key(|&w| (1usize << w) + bits.div_ceil(w)).unwrap_or(1)
}

/// out[i] = a[at(i)] ^ e(i); the exponents are magnitudes of `limbs` words.  Time follows the largest exponent of each group of lanes:
/// for exponents that are not secret from whoever can measure it.
pub fn power_each<'e, K: Kernel>(
    k: &K,
    a: &[u64],
    at: impl Fn(usize) -> usize,
    exponent: impl Fn(usize) -> &'e [u64],
    one: &[u64],
    out: &mut [u64],
) -> u64 {
    let w = k.width();
    let len = out.len() / w;
    let (mut acc, mut x, mut base) = (k.block(), k.block(), k.block());
    let mut products = 0;
    let mut table = super::rows::Rows::zeros(0, w);
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        let lane = |l: usize| first + l.min(live - 1);
        let bits = (0..live).map(|l| limbs::bit_length_vartime(exponent(first + l))).max().unwrap_or(0);
        if bits == 0 {
            out[first * w..(first + live) * w].chunks_exact_mut(w).for_each(|r| r.copy_from_slice(one));
            continue;
        }
        let width = window(bits);
        let entries = 1usize << width;
        if table.len() < entries * K::LANES {
            table = super::rows::Rows::zeros(entries * K::LANES, w);
        }
        let rows: Vec<usize> = (0..K::LANES).map(|l| at(lane(l))).collect();
        k.gather(&mut base, a, &rows);
        k.copy(&mut acc, &base);
        for l in 0..K::LANES {
            table.row_mut(l).copy_from_slice(one);
        }
        for d in 1..entries {
            if d > 1 {
                if d % 2 == 0 {
                    k.gather(&mut acc, &table, &(0..K::LANES).map(|l| d / 2 * K::LANES + l).collect::<Vec<_>>());
                    k.sqr(&mut acc);
                } else {
                    k.mul(&mut acc, &base);
                }
            }
            k.scatter(&acc, &mut table, d * K::LANES, K::LANES);
        }
        let windows = bits.div_ceil(width);
        let digit = |l: usize, j: usize| limbs::bits(exponent(lane(l)), j * width, width) as usize;
        let choose = |j: usize| (0..K::LANES).map(|l| digit(l, j) * K::LANES + l).collect::<Vec<_>>();
        k.gather(&mut acc, &table, &choose(windows - 1));
        for j in (0..windows - 1).rev() {
            for _ in 0..width {
                k.sqr(&mut acc);
            }
            k.gather(&mut x, &table, &choose(j));
            k.mul(&mut acc, &x);
        }
        k.scatter(&acc, out, first, live);
        products += (live * (entries - 2 + (windows - 1) * (width + 1))) as u64;
    }
    products
}

/// Every row to the one secret exponent: fixed windows over `bits` bits, the table scanned in full at each look-up, so that neither time nor
/// addresses depend on the exponent.
pub fn power_secret<K: Kernel>(k: &K, rows: &mut [u64], exponent: &[u64], bits: usize, one: &[u64]) -> u64 {
    const WIDTH: usize = 5;
    let w = k.width();
    let len = rows.len() / w;
    let windows = bits.div_ceil(WIDTH);
    let mut table: Vec<K::Block> = (0..1 << WIDTH).map(|_| k.block()).collect();
    let (mut acc, mut x) = (k.block(), k.block());
    let mut products = 0;
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        let index: Vec<usize> = (0..K::LANES).map(|l| first + l.min(live - 1)).collect();
        k.gather(&mut acc, rows, &index);
        k.copy(&mut x, &acc);
        k.broadcast(&mut table[0], one);
        for (d, entry) in table.iter_mut().enumerate().skip(1) {
            if d > 1 {
                k.mul(&mut acc, &x);
            }
            k.copy(entry, &acc);
        }
        k.copy(&mut acc, &table[0]);
        for j in (0..windows).rev() {
            if j + 1 < windows {
                for _ in 0..WIDTH {
                    k.sqr(&mut acc);
                }
            }
            let digit = limbs::bits(exponent, j * WIDTH, WIDTH);
            k.choose(&mut x, &table, digit);
            k.mul(&mut acc, &x);
        }
        k.scatter(&acc, rows, first, live);
        products += (live * ((1 << WIDTH) - 2 + (windows - 1) * WIDTH + windows)) as u64;
    }
    products
}

/// out = a + b, row by row, in place of a.
pub fn add<K: Kernel>(k: &K, a: &mut [u64], b: &[u64]) {
    let len = a.len() / k.width();
    let (mut x, mut y) = (k.block(), k.block());
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        let index: Vec<usize> = (0..K::LANES).map(|l| first + l.min(live - 1)).collect();
        k.gather(&mut x, a, &index);
        k.gather(&mut y, b, &index);
        k.add(&mut x, &y);
        k.scatter(&x, a, first, live);
    }
}

/// out[c * len + i] = rows[i] ^ (2^c) for c in 0..count: squaring after squaring, the bases side by side.
pub fn squarings<K: Kernel>(k: &K, rows: &[u64], count: usize, out: &mut [u64]) -> u64 {
    let w = k.width();
    let len = rows.len() / w;
    let mut acc = k.block();
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        let index: Vec<usize> = (0..K::LANES).map(|l| first + l.min(live - 1)).collect();
        k.gather(&mut acc, rows, &index);
        for c in 0..count {
            if c > 0 {
                k.sqr(&mut acc);
            }
            k.scatter(&acc, out, c * len + first, live);
        }
    }
    (len * count.saturating_sub(1)) as u64
}

/// out[g] = the product over j of rows[at(g, j)] ^ (2^(shift * j)), j in 0..terms: Horner from the top; `None` is one.
pub fn horner<K: Kernel>(
    k: &K,
    rows: &[u64],
    at: impl Fn(usize, usize) -> Option<usize>,
    (terms, shift): (usize, usize),
    one: &[u64],
    out: &mut [u64],
) -> u64 {
    let w = k.width();
    let len = out.len() / w;
    let (mut acc, mut x) = (k.block(), k.block());
    let mut products = 0;
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        k.broadcast(&mut acc, one);
        let mut begun = false;
        for j in (0..terms).rev() {
            if begun {
                for _ in 0..shift {
                    k.sqr(&mut acc);
                }
                products += (shift * live) as u64;
            }
            let present = (0..live).filter(|&l| at(first + l, j).is_some()).count();
            if present == 0 {
                continue;
            }
            for l in 0..K::LANES {
                let row = at(first + l.min(live - 1), j);
                k.set_lane(&mut x, l, row.map_or(one, |r| &rows[r * w..(r + 1) * w]));
            }
            if begun {
                k.mul(&mut acc, &x);
                products += present as u64;
            } else {
                k.copy(&mut acc, &x);
                begun = true;
            }
        }
        k.scatter(&acc, out, first, live);
    }
    products
}

/// out[i] = the product over r in 0..rounds of the (2^(step r))-th powers of table[at(i, r, t)], t in 0..terms: Horner over the rounds, so that all
/// terms of a round share its squarings.  The same work whatever `at` says.
pub fn comb<K: Kernel>(
    k: &K,
    table: &[u64],
    at: impl Fn(usize, usize, usize) -> usize,
    (rounds, terms, step): (usize, usize, usize),
    out: &mut [u64],
) -> u64 {
    let len = out.len() / k.width();
    let (mut acc, mut x) = (k.block(), k.block());
    let mut rows = Zeroizing::new(vec![0usize; K::LANES]);
    for first in (0..len).step_by(K::LANES) {
        let live = K::LANES.min(len - first);
        let find = |n: usize, rows: &mut [usize]| {
            let (r, t) = (rounds - 1 - n / terms, n % terms);
            rows.iter_mut().enumerate().for_each(|(l, row)| *row = at(first + l.min(live - 1), r, t));
            rows.iter().for_each(|&row| k.prefetch(table, row));
        };
        find(0, &mut rows);
        for n in 0..rounds * terms {
            k.gather(if n == 0 { &mut acc } else { &mut x }, table, &rows);
            if n + 1 < rounds * terms {
                find(n + 1, &mut rows); // on their way while these are multiplied
            }
            if n > 0 {
                (0..if n % terms == 0 { step } else { 0 }).for_each(|_| k.sqr(&mut acc));
                k.mul(&mut acc, &x);
            }
        }
        k.scatter(&acc, out, first, live);
    }
    (len * (rounds * terms - 1 + (rounds - 1) * step)) as u64
}

/// A dependent chain, for benchmarks.
pub fn chain<K: Kernel>(k: &K, rows: &mut [u64], count: usize, square: bool) {
    let (mut x, mut y) = (k.block(), k.block());
    let index: Vec<usize> = (0..K::LANES).collect();
    k.gather(&mut x, rows, &index);
    k.gather(&mut y, rows, &index);
    for _ in 0..count {
        if square {
            k.sqr(&mut x);
        } else {
            k.mul(&mut x, &y);
        }
    }
    k.scatter(&x, rows, 0, K::LANES);
}
