//! `[server]`, `[store]` and `[admin]`: listeners, database and admin access.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::values::{address, duration, network};
use super::{Builder, service_url};
use crate::config::problems::ConfigProblem;
use crate::config::secret::is_public;
use crate::config::section::Section;
use crate::config::{AcmeSettings, Admin, AdminToken, Listen, Role, Secrets};
use crate::problem::Place;
use crate::store::{Retention, StoreUrl};
use crate::tls::{Identity, TlsError};

/// Default address for webhooks.
pub(in crate::config) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// `[server]`.
pub(super) struct Server {
    pub(super) listen: Listen,
    pub(super) tls: Option<Arc<Identity>>,
    pub(super) acme: Option<AcmeSettings>,
    pub(super) admin_listen: SocketAddr,
    pub(super) admin_tls: Option<Arc<Identity>>,
    pub(super) trusted_proxies: Vec<IpNet>,
}

/// Default authority: Let's Encrypt.
const AUTHORITY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The certificate that Hookbell requests.
fn acme(section: &mut Section<'_>) -> Option<AcmeSettings> {
    let mut table = section.optional("acme")?;
    let (place, domains) = (table.place(), table.strings("domains"));
    let email = table.string("email").map(|email| email.value);
    let directory = table.string("directory");
    let mut is_wrong = false;
    let mut note = |problem: ConfigProblem, place: &Place| {
        table.note(&problem, place.clone());
        is_wrong = true;
    };
    if domains.as_ref().is_none_or(Vec::is_empty) {
        note(ConfigProblem::AcmeWithoutDomains, &place);
    }
    let domains = domains.unwrap_or_default();
    for wrong in domains.iter().filter(|domain| !is_domain(&domain.value)) {
        note(ConfigProblem::NotADomain(wrong.value.clone()), &wrong.place);
    }
    let directory = directory.map_or(Some(AUTHORITY.to_owned()), |taken| {
        let url = service_url(&taken.value).filter(|url| url.scheme() == "https");
        if url.is_none() {
            note(ConfigProblem::NotAnAuthority(taken.value), &taken.place);
        }
        url.map(String::from)
    });
    table.finish();
    let domains = domains.into_iter().map(|domain| domain.value.to_ascii_lowercase()).collect();
    let directory = directory.filter(|_| !is_wrong)?;
    Some(AcmeSettings { domains, email, directory })
}

/// Returns true for a name that a public authority can check by a connection: a complete one without wildcards.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
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
        let acme_place = section.place_of("acme");
        let acme = acme(&mut section);
        if acme.is_some() && tls.is_some() {
            section.note(&ConfigProblem::TlsAndAcme, acme_place);
        }
        let trusted_proxies = section.strings("trusted_proxies").unwrap_or_default();
        let trusted_proxies = trusted_proxies.iter().filter_map(|text| network(&section, text, &[])).collect();
        section.finish();
        Server { listen, tls, acme, admin_listen, admin_tls, trusted_proxies }
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
