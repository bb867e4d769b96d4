//! `[server]`, `[store]` and `[admin]`: listeners, database and admin access.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Builder;
use super::values::{address, duration, network};
use crate::config::problems::ConfigProblem;
use crate::config::secret::is_public;
use crate::config::section::Section;
use crate::config::{Admin, AdminToken, Listen, Role, Secrets};
use crate::store::{Retention, StoreUrl};
use crate::tls::{Identity, TlsError};

/// Default address for webhooks.
pub(in crate::config) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// `[server]`.
pub(super) struct Server {
    pub(super) listen: Listen,
    pub(super) tls: Option<Arc<Identity>>,
    pub(super) admin_listen: SocketAddr,
    pub(super) admin_tls: Option<Arc<Identity>>,
    pub(super) trusted_proxies: Vec<IpNet>,
}

impl Builder<'_> {
    pub(super) fn server(&self, root: &mut Section<'_>) -> Server {
        let mut section = root.table("server");
        let listen = match section.string("listen") {
            Some(text) if text.value == "systemd" => Listen::Systemd,
            Some(text) => Listen::Address(address(&section, &text, LISTEN)),
            None => Listen::Address(LISTEN),
        };
        let admin_listen = section.string("admin_listen");
        let admin_listen = admin_listen.map_or(ADMIN_LISTEN, |text| address(&section, &text, ADMIN_LISTEN));
        let (tls, admin_tls) = (self.tls(&mut section, "tls"), self.tls(&mut section, "admin_tls"));
        let trusted_proxies = section.strings("trusted_proxies").unwrap_or_default();
        let trusted_proxies = trusted_proxies.iter().filter_map(|text| network(&section, text, &[])).collect();
        section.finish();
        Server { listen, tls, admin_listen, admin_tls, trusted_proxies }
    }

    /// The certificate and key of a listener.
    fn tls(&self, section: &mut Section<'_>, listener: &'static str) -> Option<Arc<Identity>> {
        let mut table = section.optional(listener)?;
        let identity = match (table.string("cert"), table.string("key")) {
            (Some(cert), Some(key)) => self.identity(&table, cert.value.as_ref(), key.value.as_ref()),
            _ => {
                table.note(&ConfigProblem::HalfTls, table.place());
                None
            }
        };
        table.finish();
        identity
    }

    /// Reads a certificate and its key. The files are watched, so that a renewed certificate is used.
    fn identity(&self, table: &Section<'_>, cert: &Path, key: &Path) -> Option<Arc<Identity>> {
        let (directory, shown) = (&table.document.directory, cert.display().to_string());
        let note = |problem: ConfigProblem| table.note(&problem, table.place());
        [cert, key].into_iter().for_each(|path| self.watched.borrow_mut().add(directory.join(path)));
        if is_public(&directory.join(key)) {
            note(ConfigProblem::ExposedSecretFile(key.display().to_string()));
        }
        let wrong = |error: TlsError| {
            let is_optional = self.secrets == Secrets::Optional && error.is_missing();
            note(ConfigProblem::Tls { error, is_optional });
        };
        let identity = Identity::read(directory, cert, key).map_err(wrong).ok()?;
        self.outline.borrow_mut().add_file("certificate", cert, &identity.certificate());
        if identity.until < Timestamp::now() {
            let date = identity.until.strftime("%Y-%m-%d").to_string();
            note(ConfigProblem::CertificateExpired(shown, date));
        } else if identity.is_self_signed {
            note(ConfigProblem::SelfSigned(shown));
        }
        Some(Arc::new(identity))
    }

    /// `[store]`: the location, unless it is invalid, and the retention times.
    pub(super) fn store(&self, root: &mut Section<'_>) -> (Option<StoreUrl>, Retention) {
        let mut section = root.table("store");
        let directory = &section.document.directory;
        let store = match section.string("url") {
            None => StoreUrl::parse_in(StoreUrl::DEFAULT, directory),
            Some(url) => StoreUrl::parse_in(&url.value, directory).or_else(|| {
                // A database URL may contain a password.
                let shown = url.value.split_once(':').map(|(scheme, _)| format!("{scheme}:…"));
                let shown = shown.unwrap_or_else(|| url.value.clone());
                section.note(&ConfigProblem::InvalidStoreUrl(shown), url.place.clone());
                None
            }),
        };
        let kept = Retention::default();
        let keep = Retention {
            all: duration(&mut section, "keep").unwrap_or(kept.all),
            raw: duration(&mut section, "keep_raw").unwrap_or(kept.raw),
        };
        section.finish();
        (store, keep)
    }

    /// `[admin]`: access to the admin listener.
    pub(super) fn admin(&self, root: &mut Section<'_>, listen: SocketAddr, tls: Option<Arc<Identity>>) -> Admin {
        let mut section = root.table("admin");
        let hosts = section.strings("hosts").unwrap_or_default().into_iter().map(|host| host.value).collect();
        let mut tokens = vec![];
        for mut section in section.list("tokens") {
            tokens.extend(self.token(&mut section, tokens.len()));
            section.finish();
        }
        section.finish();
        Admin { listen, tls, hosts, tokens }
    }

    fn token(&self, section: &mut Section<'_>, n: usize) -> Option<AdminToken> {
        let name = section.string("name").map_or_else(|| format!("token {}", n + 1), |name| name.value);
        let token = self.one_secret(section, "token", "an admin token");
        let role = match section.string("role") {
            None => Role::Read,
            Some(text) if text.value == "read" => Role::Read,
            Some(text) if text.value == "operate" => Role::Operate,
            Some(text) => {
                section.note(&ConfigProblem::InvalidRole(text.value), text.place);
                return None;
            }
        };
        Some(AdminToken { name, token: token?, role })
    }
}
