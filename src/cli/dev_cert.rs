//! `hookbell dev-cert`: create a self-signed certificate, to try TLS on this machine.

use std::path::Path;

use clap::Args;

use super::Failure;
use super::failure::Doing;
use super::print::outln;
use crate::text_file;

/// Arguments of `hookbell dev-cert`.
#[derive(Args)]
pub(super) struct DevCert {
    /// Names and IP addresses in the certificate
    #[arg(default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
}

/// Names of the files, next to the configuration.
const CERT: &str = "dev-cert.pem";
const KEY: &str = "dev-key.pem";

impl DevCert {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let directory = config.parent().unwrap_or(Path::new(""));
        if let Some(path) = [CERT, KEY].map(|name| directory.join(name)).into_iter().find(|path| path.exists()) {
            return Err(Failure::CertificateExists(path));
        }
        let made = rcgen::generate_simple_self_signed(self.names.clone());
        let made = made.map_err(|error| Failure::NoCertificate { names: self.names.clone(), error })?;
        for (name, mode, text) in [(KEY, 0o600, made.signing_key.serialize_pem()), (CERT, 0o644, made.cert.pem())] {
            let path = directory.join(name);
            text_file::create(&path, mode, &text).map_err(Failure::file(Doing::Create, &path))?;
        }
        let (bold, names) = (anstyle::Style::new().bold(), self.names.join(", "));
        outln!("{bold}{CERT}{bold:#} and {bold}{KEY}{bold:#} are written: a self-signed certificate for {names}\n");
        outln!("Add this below `[server]` in {}:\n", config.display());
        outln!("  tls = {{ cert = \"{CERT}\", key = \"{KEY}\" }}\n");
        outln!(
            "Use it to try TLS on this machine. A code host rejects it, and must: with verification turned off, anybody"
        );
        outln!(
            "between the host and Hookbell could read what the host sends. For a real host, use the certificate of a"
        );
        outln!("public authority, such as Let's Encrypt.");
        Ok(())
    }
}
