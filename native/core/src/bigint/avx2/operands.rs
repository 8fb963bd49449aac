//! What two pairs contribute to the columns of their product.
#![allow(unsafe_code)]

use super::columns::V;
use super::sums::Sums;

/// The products of the first and of the second half, by block of columns.
pub(super) trait Operands {
    /// # Safety
    /// k is a multiple of the block's width below 2h, and what the operands point to lives.
    unsafe fn first(&self, sums: &mut Sums, k: usize);
    /// # Safety
    /// As `first`.
    unsafe fn second(&self, sums: &mut Sums, k: usize);
}

/// Pairs x and y of 2h digits.
pub(super) struct Product {
    pub(super) x: *const V,
    pub(super) y: *const V,
    pub(super) h: usize,
}

impl Operands for Product {
    #[inline(always)]
    unsafe fn first(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe { sums.product(self.x, self.y, k, self.h) }
    }

    #[inline(always)]
    unsafe fn second(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe {
            sums.product(self.x, self.y.add(self.h), k, self.h);
            sums.product(self.x.add(self.h), self.y, k, self.h);
        }
    }
}

/// A pair x, and twice the same.
pub(super) struct Square {
    pub(super) x: *const V,
    pub(super) twice: *const V,
    pub(super) h: usize,
}

impl Operands for Square {
    #[inline(always)]
    unsafe fn first(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe { sums.square(self.x, self.twice, k, self.h) }
    }

    #[inline(always)]
    unsafe fn second(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe { sums.product(self.x, self.twice.add(self.h), k, self.h) }
    }
}

/// A pair x by one whose second half, y's, is zero.
pub(super) struct ByFirst {
    pub(super) x: *const V,
    pub(super) y: *const V,
    pub(super) h: usize,
}

impl Operands for ByFirst {
    #[inline(always)]
    unsafe fn first(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe { sums.product(self.x, self.y, k, self.h) }
    }

    #[inline(always)]
    unsafe fn second(&self, sums: &mut Sums, k: usize) {
        // SAFETY: by the trait's contract.
        unsafe { sums.product(self.x.add(self.h), self.y, k, self.h) }
    }
}
