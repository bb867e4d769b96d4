//! HMAC-SHA256, which signs requests.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the code of `data` under a key, ready to be compared in constant time or written out.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length; the trait requires a Result")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(data);
    mac
}
