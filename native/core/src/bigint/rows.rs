//! A contiguous buffer of fixed-width rows, each beginning on a cache line.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

const LINE: usize = 8; // 64 bytes

/// `len` rows of `width` words; dereferences to the words.
pub struct Rows {
    words: Vec<u64>,
    offset: usize,
    width: usize,
    len: usize,
}

impl Rows {
    pub fn zeros(len: usize, width: usize) -> Rows {
        let words = vec![0u64; len * width + LINE - 1];
        let offset = words.as_ptr().align_offset(64).min(LINE - 1);
        Rows { words, offset, width, len }
    }

    pub fn from_slice(words: &[u64], width: usize) -> Rows {
        let mut out = Rows::zeros(words.len() / width, width);
        out.copy_from_slice(words);
        out
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
        &self[i * self.width..(i + 1) * self.width]
    }

    pub fn row_mut(&mut self, i: usize) -> &mut [u64] {
        let w = self.width;
        &mut self[i * w..(i + 1) * w]
    }

    pub fn wipe(&mut self) {
        self.words.zeroize();
    }
}

impl Clone for Rows {
    fn clone(&self) -> Rows {
        Rows::from_slice(self, self.width)
    }
}

impl Deref for Rows {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.words[self.offset..self.offset + self.len * self.width]
    }
}

impl DerefMut for Rows {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.offset..self.offset + self.len * self.width]
    }
}
