//! Client addresses that a source accepts: networks, and the address lists that hosts publish.
//!
//! Each published list is built in, as of a given date. While the service runs, the list is fetched once a day and
//! stored in a file, so that a start without network access uses the last fetched list. An answer that is not a valid
//! list is ignored.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;

/// Time after which a list is fetched again.
pub const REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Delay after a failed fetch.
pub const RETRY: Duration = Duration::from_secs(30 * 60);

/// Address list that a host publishes.
#[derive(Debug)]
pub struct Published {
    /// Name of the list in `allow_from`.
    pub word: &'static str,
    /// URL of the published file.
    pub url: &'static str,
    /// Date of the built-in `networks`.
    pub as_of: &'static str,
    /// Networks on the list at that date.
    pub networks: &'static [&'static str],
    /// Parses the published file; returns `None` for anything else.
    pub read: fn(&[u8]) -> Option<Vec<IpNet>>,
}

/// Current state of a published list.
#[derive(Debug)]
pub struct List {
    /// Definition of the list.
    pub published: &'static Published,
    networks: RwLock<Arc<[IpNet]>>,
}

impl List {
    /// Creates the list with its built-in networks.
    pub fn new(published: &'static Published) -> Self {
        let networks = published.networks.iter().filter_map(|network| network.parse().ok()).collect();
        Self { published, networks: RwLock::new(networks) }
    }

    fn networks(&self) -> Arc<[IpNet]> {
        self.networks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the networks with those of a published file. Returns `false` and changes nothing if the file is not
    /// valid.
    pub fn take(&self, file: &[u8]) -> bool {
        let Some(networks) = (self.published.read)(file).filter(|networks| !networks.is_empty()) else { return false };
        *self.networks.write().unwrap_or_else(PoisonError::into_inner) = networks.into();
        true
    }

    /// Returns the extension of the last fetched file, which is kept with the store.
    pub fn extension(&self) -> String {
        format!("{}-addresses.json", self.published.word)
    }
}

/// Client addresses that a source's `allow_from` allows.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Networks from the configuration.
    pub networks: Vec<IpNet>,
    /// Published lists named in the configuration.
    pub lists: Vec<Arc<List>>,
}

impl Allowed {
    /// Returns `true` if requests from this address are allowed.
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
    fn invalid_response_keeps_the_address_list() {
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
