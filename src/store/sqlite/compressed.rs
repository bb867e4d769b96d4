//! Compressed columns: LZ4 blocks, preceded by their size.

use std::cell::RefCell;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

thread_local! {
    /// Working memory, which would cost more than the compression of a small text.
    static WORK: RefCell<(CompressTable, Vec<u8>)> = RefCell::default();
}

/// Size of a text above which its working memory is not kept, in bytes.
const LARGE: usize = 256 * 1024;

/// Compresses bytes.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() > LARGE {
        return lz4_flex::compress_prepend_size(bytes);
    }
    WORK.with_borrow_mut(|(table, out)| {
        let most = get_maximum_output_size(bytes.len());
        if out.len() < most {
            out.resize(most, 0);
        }
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        match compress_into_with_table(bytes, out, table) {
            Ok(length) => [&size[..], &out[..length]].concat(),
            Err(_) => lz4_flex::compress_prepend_size(bytes),
        }
    })
}

/// Decompresses bytes; `None` if they are damaged.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    lz4_flex::decompress_size_prepended(bytes).ok()
}

/// Returns the size of compressed bytes before the compression.
pub(super) fn unpacked_size(bytes: &[u8]) -> usize {
    let size = bytes.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Compresses bytes that are similar to a dictionary.
pub(super) fn pack_with(bytes: &[u8], dictionary: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size_with_dict(bytes, dictionary)
}

/// Decompresses bytes that were compressed with a dictionary; `None` if they are damaged.
pub(super) fn unpack_with(bytes: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    lz4_flex::block::decompress_size_prepended_with_dict(bytes, dictionary).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_is_packed() {
        for size in [0, 1, 100, 65_535, 65_536, LARGE, LARGE + 1] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 7 * n % 251) as u8).collect();
            assert_eq!(unpack(&pack(&bytes)).as_ref(), Some(&bytes), "{size}");
            assert_eq!(unpacked_size(&pack(&bytes)), bytes.len());
            assert_eq!(lz4_flex::decompress_size_prepended(&pack(&bytes)).ok().as_ref(), Some(&bytes), "{size}");
            assert_eq!(unpack_with(&pack_with(&bytes, b"0123"), b"0123").as_ref(), Some(&bytes), "{size}");
        }
        assert_eq!(unpack(b"damaged"), None);
    }
}
