//! From which addresses a source's requests may come: networks, and the lists that hosts publish of their own.
//!
//! A published list is built in, as of a day; while the service runs it is fetched anew each day, and kept in a file,
//! so that a start without a way to the network has the last one. An answer that is no such list changes nothing.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;

/// How long a list is good for before it is fetched again.
pub const REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait after a fetch that failed.
pub const RETRY: Duration = Duration::from_secs(30 * 60);

/// A list of addresses that a host publishes.
#[derive(Debug)]
pub struct Published {
    /// What `allow_from` calls it.
    pub word: &'static str,
    /// Where it is published.
    pub url: &'static str,
    /// The day of `networks`.
    pub as_of: &'static str,
    /// The networks that were on it then.
    pub networks: &'static [&'static str],
    /// Reads the published file; `None` for anything else.
    pub read: fn(&[u8]) -> Option<Vec<IpNet>>,
}

/// A published list as it is known now.
#[derive(Debug)]
pub struct List {
    /// What it is a list of.
    pub published: &'static Published,
    networks: RwLock<Arc<[IpNet]>>,
}

impl List {
    /// The list that is built in.
    pub fn new(published: &'static Published) -> Self {
        let networks = published.networks.iter().filter_map(|network| network.parse().ok()).collect();
        Self { published, networks: RwLock::new(networks) }
    }

    fn networks(&self) -> Arc<[IpNet]> {
        self.networks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a published file over. False where it is none, and the list stays as it was.
    pub fn take(&self, file: &[u8]) -> bool {
        let Some(networks) = (self.published.read)(file).filter(|networks| !networks.is_empty()) else { return false };
        *self.networks.write().unwrap_or_else(PoisonError::into_inner) = networks.into();
        true
    }

    /// Where the last fetched file is kept, beside the store.
    pub fn kept_at(&self, store: &Path) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(format!(".{}-addresses.json", self.published.word));
        PathBuf::from(name)
    }
}

/// What a source's `allow_from` allows.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Networks.
    pub networks: Vec<IpNet>,
    /// Published lists.
    pub lists: Vec<Arc<List>>,
}

impl Allowed {
    /// Whether requests may come from this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        holds(&self.networks) || self.lists.iter().any(|list| holds(&list.networks()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIST: Published = Published {
        word: "host",
        url: "https://host.example/",
        as_of: "2026-01-01",
        networks: &["192.0.2.0/24", "2001:db8::/32"],
        read: |file| std::str::from_utf8(file).ok()?.lines().map(|line| line.parse().ok()).collect(),
    };

    fn allowed(list: &Arc<List>) -> Allowed {
        Allowed { networks: vec!["10.0.0.0/8".parse().unwrap()], lists: vec![list.clone()] }
    }

    #[test]
    fn networks_and_lists_allow_and_nothing_else() {
        let allowed = allowed(&Arc::new(List::new(&LIST)));
        for address in ["10.1.2.3", "192.0.2.9", "2001:db8::1", "::ffff:192.0.2.9"] {
            assert!(allowed.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.0.3.1", "2001:db9::1", "::1"] {
            assert!(!allowed.contains(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_bad_answer_never_empties_a_list() {
        let list = Arc::new(List::new(&LIST));
        let allowed = allowed(&list);
        for bad in ["", "<html>", "192.0.2.0/24\nnonsense", "\u{0}"] {
            assert!(!list.take(bad.as_bytes()), "{bad:?}");
            assert!(allowed.contains("192.0.2.9".parse().unwrap()), "{bad:?}");
        }
        assert!(list.take(b"198.51.100.0/24"));
        assert!(allowed.contains("198.51.100.1".parse().unwrap()));
        assert!(!allowed.contains("192.0.2.9".parse().unwrap()), "it is no longer on the list");
    }
}
