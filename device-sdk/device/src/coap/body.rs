//! Where the bytes of an upload come from, and where those of a representation go.

use core::fmt;

/// The payload of a request, of any length, read in pieces.
///
/// The same bytes each time, for as long as the request is under way.
pub trait Body {
    /// Its length in bytes.
    fn size(&self) -> usize;

    /// Copies the bytes from `offset` on into `out` and says how many there were.
    fn read(&self, offset: usize, out: &mut [u8]) -> usize;
}

impl Body for [u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let rest = self.get(offset..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        length
    }
}

impl Body for &[u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        (**self).read(offset, out)
    }
}

/// Keeps the bytes of a representation that fall into a window, and counts all.
pub(super) struct Window<'b> {
    room: &'b mut [u8],
    /// Where the window begins.
    start: usize,
    /// Bytes written so far, inside and outside.
    total: usize,
    /// FNV-1a of all of them.
    hash: u32,
}

impl<'b> Window<'b> {
    pub(super) const fn new(room: &'b mut [u8], start: usize) -> Self {
        Self { room, start, total: 0, hash: 0x811c_9dc5 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let skipped = self.start.saturating_sub(self.total);
        let place = self.total.saturating_sub(self.start);
        let room = self.room.get_mut(place..).unwrap_or_default();
        let kept = bytes.get(skipped..).unwrap_or_default();
        room.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        self.total = self.total.saturating_add(bytes.len());
        for byte in bytes {
            self.hash = (self.hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// Tells two representations apart.
    pub(super) const fn hash(&self) -> u32 {
        self.hash
    }

    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// The first bytes of the window.
    pub(super) fn bytes(&self, length: usize) -> &[u8] {
        self.room.get(..length).unwrap_or_default()
    }

    /// Bytes in the window.
    pub(super) fn kept(&self) -> usize {
        self.total.saturating_sub(self.start).min(self.room.len())
    }
}

impl fmt::Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
