//! `[sources.NAME]`: code hosts, their secrets and their repositories.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;

use super::Builder;
use super::values::{duration, kind, network, patterns};
use crate::config::SourceEntry;
use crate::config::problems::ConfigProblem;
use crate::config::section::{Section, Taken};
use crate::event::SourceName;
use crate::pattern::Style;
use crate::routing::Key;
use crate::source::addresses::{Allowed, List};
use crate::source::{self, Provider, SourceSettings};

impl Builder<'_> {
    /// The sources, and the published lists of IP addresses that they use.
    pub(super) fn sources(&self, root: &mut Section<'_>) -> (BTreeMap<SourceName, SourceEntry>, Vec<Arc<List>>) {
        let mut sources = BTreeMap::new();
        // Sources of the same host share its list.
        let mut lists = vec![];
        for (name, mut section) in root.named("sources") {
            if let Some(entry) = self.source(&mut section, &name, &mut lists) {
                sources.insert(SourceName::from(name), entry);
            }
            section.finish();
        }
        if sources.is_empty() && !root.is_broken() {
            root.note(&ConfigProblem::NoSource, root.place());
        }
        (sources, lists)
    }

    fn source(&self, section: &mut Section<'_>, name: &str, lists: &mut Vec<Arc<List>>) -> Option<SourceEntry> {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            section.note(&ConfigProblem::InvalidSourceName(name.to_owned()), section.place());
        }
        let kinds: Vec<_> = source::providers().iter().map(|provider| provider.kind).collect();
        let kind = kind(section, "source", &kinds);
        let (secrets, secret_origins, unsigned) = self.secrets(section, name);
        let repo = section.strings("repo").map_or_else(
            || patterns(section, vec![Taken { value: "**".to_owned(), place: section.place() }], Key::Repo.style()),
            |texts| {
                for wrong in texts.iter().filter(|text| text.value.contains("://") || text.value.contains(' ')) {
                    section.note(&ConfigProblem::NotARepository(wrong.value.clone()), wrong.place.clone());
                }
                patterns(section, texts, Key::Repo.style())
            },
        );
        let bots = section.strings("bots").unwrap_or_default();
        let bots = patterns(section, bots, Style { separator: false, ignore_case: true });
        let allow_from = section.strings("allow_from");
        let expect_every = duration(section, "expect_every");
        let provider = source::provider(kind?)?;
        let allow_from = allow_from.map(|texts| self.allowed(section, &texts, provider, unsigned, lists));
        let source = (provider.build)(SourceSettings { secrets: secrets.clone(), unsigned, bots });
        Some(SourceEntry { provider, source, repo, secrets, secret_origins, unsigned, allow_from, expect_every })
    }

    /// The secrets of a source, their locations, and true if the source is `unsigned`.
    fn secrets(&self, section: &mut Section<'_>, name: &str) -> (Vec<SecretString>, Vec<String>, bool) {
        let secret = section.any("secret");
        let unsigned = section.any("unsigned").filter(|taken| taken.value.to_bool() != Some(false));
        match (secret, unsigned) {
            (Some(secret), unsigned) => {
                if let Some(unsigned) = unsigned {
                    section.note(&ConfigProblem::SecretAndUnsigned, unsigned.place);
                }
                let origins = crate::config::secret::forms(&secret).into_iter().flatten();
                let origins = origins.map(|origin| origin.shown(&section.document.directory)).collect();
                (self.read_secrets(section, &secret, self.secrets).unwrap_or_default(), origins, false)
            }
            (None, Some(unsigned)) if unsigned.value.to_bool() == Some(true) => {
                section.note(&ConfigProblem::Unsigned(name.to_owned()), unsigned.place);
                (vec![], vec![], true)
            }
            (None, Some(unsigned)) => {
                section.note(&ConfigProblem::InvalidUnsigned, unsigned.place);
                (vec![], vec![], false)
            }
            (None, None) => {
                section.note(&ConfigProblem::SourceWithoutSecret(name.to_owned()), section.place());
                (vec![], vec![], false)
            }
        }
    }

    /// The networks in `allow_from`, and the published list of the host if `allow_from` has its keyword.
    fn allowed(
        &self,
        section: &Section<'_>,
        texts: &[Taken<String>],
        provider: &'static Provider,
        unsigned: bool,
        lists: &mut Vec<Arc<List>>,
    ) -> Allowed {
        let mut allowed = Allowed::default();
        let words: Vec<&'static str> = provider.addresses.iter().map(|published| published.word).collect();
        for text in texts {
            match provider.addresses.filter(|published| published.word == text.value) {
                Some(published) => {
                    let before = self.before.map(|before| before.address_lists.as_slice()).unwrap_or_default();
                    let mut known = lists.iter().chain(before);
                    let known = known.find(|list| std::ptr::eq(list.published, published)).cloned();
                    let list = known.unwrap_or_else(|| Arc::new(List::new(published)));
                    if lists.iter().all(|known| !Arc::ptr_eq(known, &list)) {
                        lists.push(list.clone());
                    }
                    allowed.lists.push(list);
                    if unsigned {
                        section.note(&ConfigProblem::UnsignedFromAll(text.value.clone()), text.place.clone());
                    }
                }
                None => allowed.networks.extend(network(section, text, &words)),
            }
        }
        allowed
    }
}
