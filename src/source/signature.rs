//! Signatures of the form `algorithm=hex` over the raw bytes of a body.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Returns the HMAC-SHA256 of a body as `sha256=<64 hex digits>`.
pub(super) fn hmac_sha256(secret: &SecretString, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, body).finalize().into_bytes()))
}

/// Returns `true` if a header value has the form of such a signature.
pub(super) fn is_hmac_sha256(signature: &[u8]) -> bool {
    let digits = signature.strip_prefix(b"sha256=").unwrap_or_default();
    digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Returns the index of the secret that matches `signature` and `body`. The duration does not depend on which secret
/// matches or on the position of the first wrong byte. An empty secret verifies nothing.
pub(super) fn verify_hmac_sha256(secrets: &[SecretString], body: &[u8], signature: &[u8]) -> Option<usize> {
    let claimed = signature.strip_prefix(b"sha256=").and_then(|digits| hex::decode(digits).ok())?;
    let usable = secrets.iter().enumerate().filter(|(_, secret)| !secret.expose_secret().is_empty());
    usable.fold(None, |found, (n, secret)| {
        let verified = mac(secret, body).verify_slice(&claimed).is_ok();
        found.or(verified.then_some(n))
    })
}

fn mac(secret: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    crate::mac::hmac_sha256(secret.expose_secret().as_bytes(), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn published_test_vector_verifies() {
        // RFC 4231, test case 2.
        let signature = hmac_sha256(&secret("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signature, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn any_of_several_secrets_verifies_and_no_other() {
        let (old, new) = (secret("old"), secret("new"));
        let signed = hmac_sha256(&old, b"body");
        assert_eq!(verify_hmac_sha256(&[new.clone(), old.clone()], b"body", signed.as_bytes()), Some(1));
        assert_eq!(verify_hmac_sha256(&[old.clone(), new.clone()], b"body", signed.as_bytes()), Some(0));
        assert_eq!(verify_hmac_sha256(std::slice::from_ref(&new), b"body", signed.as_bytes()), None);
        assert_eq!(verify_hmac_sha256(&[old], b"Body", signed.as_bytes()), None);
    }

    #[test]
    fn invalid_signature_format_is_rejected() {
        let secrets = [secret("s")];
        for signature in ["", "sha256=", "sha256=00", "sha256=zz", "sha1=5bdcc146", "5bdcc146"] {
            assert_eq!(verify_hmac_sha256(&secrets, b"body", signature.as_bytes()), None, "{signature}");
        }
        let signed_with_nothing = hmac_sha256(&secret(""), b"body");
        assert_eq!(verify_hmac_sha256(&[secret("")], b"body", signed_with_nothing.as_bytes()), None);
        assert_eq!(verify_hmac_sha256(&[], b"body", signed_with_nothing.as_bytes()), None);
    }

    #[test]
    fn every_changed_byte_invalidates_the_signature() {
        let secrets = [secret("s")];
        let signed = hmac_sha256(&secrets[0], b"body").into_bytes();
        assert_eq!(verify_hmac_sha256(&secrets, b"body", &signed), Some(0));
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert_eq!(verify_hmac_sha256(&secrets, b"body", &changed), None, "byte {at}");
        }
    }
}
