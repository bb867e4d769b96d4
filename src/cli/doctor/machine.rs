//! What can be checked on this machine without the service.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::cli::{Failure, certificate, tally};
use crate::config::{self, Loaded};
use crate::server::admin::token_path;
use crate::store::StoreUrl;
use crate::tls::Identity;

/// Checks the configuration, the certificates, the store and its disk.
pub(super) fn findings(config: &Path, loaded: &Loaded) -> Vec<Finding> {
    let mut findings = vec![look_at_config(config, loaded)];
    if let Some(settings) = &loaded.settings {
        findings.extend(certificate(settings).map(|tls| look_at_certificate("listen", &tls)));
        findings.extend(settings.admin.tls.as_deref().map(|tls| look_at_certificate("admin_listen", tls)));
    }
    if let Ok(store) = config::store(config) {
        findings.push(look_at_store(&store));
        findings.extend(store.exists().then(|| look_at_files(&store)));
        findings.extend(look_at_disk(&store));
    }
    findings
}

fn look_at_config(config: &Path, loaded: &Loaded) -> Finding {
    let shown = config.display();
    let text = if loaded.problems.is_empty() {
        format!("{shown}")
    } else {
        format!("{shown}: {}; run `hookbell check` for details", tally(&loaded.problems))
    };
    if loaded.is_sound() { Finding::fine("config", text) } else { Finding::problem("config", text) }
}

/// Time before the end of a certificate from which it is a problem, but at most a quarter of its life: public authorities
/// and their clients renew earlier.
const RENEW: SignedDuration = SignedDuration::from_hours(14 * 24);

fn look_at_certificate(listener: &str, tls: &Identity) -> Finding {
    let (left, date) = (tls.until.duration_since(Timestamp::now()), tls.until.strftime("%Y-%m-%d"));
    let found = |verb: &str| format!("the certificate of `{listener}` {verb} on {date}");
    match left {
        left if left <= SignedDuration::ZERO => Finding::problem("tls", found("expired")),
        left if left < RENEW.min(tls.until.duration_since(tls.since) / 4) => {
            Finding::problem("tls", format!("{}: renew it", found("expires")))
        }
        _ if tls.is_self_signed => Finding::note(
            "tls",
            format!("the certificate of `{listener}` is self-signed: code hosts reject it; it expires on {date}"),
        ),
        _ => Finding::fine("tls", found("expires")),
    }
}

/// Free space of the store's disk below which it is a problem, in MB. A full disk stops the acceptance of requests.
const LITTLE: u64 = 200;

fn look_at_disk(store: &StoreUrl) -> Option<Finding> {
    let file = store.files().into_iter().next()?;
    let directory = file.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(directory).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 1024 / 1024;
    let text = format!("{free} MB free for the store");
    Some(if free < LITTLE {
        Finding::problem("disk", format!("{text}; make room, or shorten `keep` and `keep_raw` in `[store]`"))
    } else {
        Finding::fine("disk", text)
    })
}

fn look_at_store(store: &StoreUrl) -> Finding {
    let problem = |text| Finding::problem("store", text);
    if !store.exists() {
        return problem(Failure::NoStore(store.clone()).to_string());
    }
    match store.check() {
        Ok(faults) if faults.is_empty() => Finding::fine("store", format!("{store} is intact")),
        Ok(faults) => problem(format!("{store} is corrupt; restore a backup: {}", faults.join("; "))),
        Err(error) => problem(format!("{store}: {error}")),
    }
}

/// Checks that only the owner can read the store and the token.
fn look_at_files(store: &StoreUrl) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let files = store.files().into_iter().chain([token_path(store)]);
    let open =
        files.filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0));
    let open: Vec<_> = open.map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        Finding::fine("files", "only the owner can read the store and its token")
    } else {
        Finding::problem("files", format!("other users can read {}: run `chmod 600`", open.join(" and ")))
    }
}
