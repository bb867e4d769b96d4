//! `[sources.NAME]`: who may send what.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;

use super::Builder;
use super::values::{kind, network, patterns};
use crate::config::SourceEntry;
use crate::config::section::{Section, Taken};
use crate::event::SourceName;
use crate::problem::Problem;
use crate::routing::Key;
use crate::routing::pattern::Style;
use crate::source::addresses::{Allowed, List};
use crate::source::{self, Provider, SourceSettings};

impl Builder<'_> {
    /// The sources, and the published lists of addresses that they rely on.
    pub(super) fn sources(&self, root: &mut Section<'_>) -> (BTreeMap<SourceName, SourceEntry>, Vec<Arc<List>>) {
        let mut sources = BTreeMap::new();
        // Sources of one host share its list.
        let mut lists = vec![];
        for (name, mut section) in root.named("sources") {
            if let Some(entry) = self.source(&mut section, &name, &mut lists) {
                sources.insert(SourceName::from(name), entry);
            }
            section.finish();
        }
        if sources.is_empty() && !root.is_broken() {
            let problem = Problem::warning("there are no sources, so no webhook can come in", root.place());
            root.note(problem.help("add `[sources.bitbucket]` with `kind` and `secret`"));
        }
        (sources, lists)
    }

    fn source(&self, section: &mut Section<'_>, name: &str, lists: &mut Vec<Arc<List>>) -> Option<SourceEntry> {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            let problem = Problem::error(format!("`{name}` cannot be a source's name"), section.place());
            section.note(problem.help("use letters, digits, `-` and `_`: the name stands in the webhook's URL"));
        }
        let kinds: Vec<_> = source::PROVIDERS.iter().map(|provider| provider.kind).collect();
        let kind = kind(section, "source", &kinds);
        let (secrets, secret_origins, unsigned) = self.secrets(section, name);
        let repo = section.strings("repo").map_or_else(
            || patterns(section, vec![Taken { value: "**".to_owned(), place: section.place() }], Key::Repo.style()),
            |texts| patterns(section, texts, Key::Repo.style()),
        );
        let bots = section.strings("bots").unwrap_or_default();
        let bots = patterns(section, bots, Style { separator: false, ignore_case: true });
        let allow_from = section.strings("allow_from");
        let provider = source::provider(kind?)?;
        let allow_from = allow_from.map(|texts| self.allowed(section, &texts, provider, unsigned, lists));
        let source = (provider.build)(SourceSettings { secrets: secrets.clone(), unsigned, bots });
        Some(SourceEntry { provider, source, repo, secrets, secret_origins, unsigned, allow_from })
    }

    /// A source's secrets, and where they are; or that it has none, which it must say.
    fn secrets(&self, section: &mut Section<'_>, name: &str) -> (Vec<SecretString>, Vec<String>, bool) {
        let secret = section.any("secret");
        let unsigned = section.any("unsigned").filter(|taken| taken.value.to_bool() != Some(false));
        match (secret, unsigned) {
            (Some(secret), unsigned) => {
                if let Some(unsigned) = unsigned {
                    let problem = Problem::error("a source with a `secret` is not `unsigned`", unsigned.place);
                    section.note(problem.help("leave out one of the two; the secret is the better one to keep"));
                }
                let origins = crate::config::secret::forms(&secret).into_iter().flatten();
                let origins = origins.map(|origin| origin.shown(&section.document.directory)).collect();
                (self.read_secrets(section, &secret, self.secrets).unwrap_or_default(), origins, false)
            }
            (None, Some(unsigned)) if unsigned.value.to_bool() == Some(true) => {
                let problem = Problem::warning(
                    format!("source `{name}` takes unsigned requests: whoever knows its address can make up events"),
                    unsigned.place,
                );
                section
                    .note(problem.help("give the webhook a secret, or say in `allow_from` where requests come from"));
                (vec![], vec![], true)
            }
            (None, Some(unsigned)) => {
                section.note(Problem::error("`unsigned` must be `true` or `false`", unsigned.place));
                (vec![], vec![], false)
            }
            (None, None) => {
                let problem = Problem::error(format!("source `{name}` has no `secret`"), section.place());
                let help =
                    "add `secret = { file = \"bitbucket.secret\", generate = true }`, and give the same to the webhook";
                section.note(problem.help(help));
                (vec![], vec![], false)
            }
        }
    }

    /// What `allow_from` says: networks, and the word for the list that a source's host publishes.
    fn allowed(
        &self,
        section: &Section<'_>,
        texts: &[Taken<String>],
        provider: &'static Provider,
        unsigned: bool,
        lists: &mut Vec<Arc<List>>,
    ) -> Allowed {
        let mut allowed = Allowed::default();
        let words: Vec<&str> = provider.addresses.iter().map(|published| published.word).collect();
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
                        let message = format!("`{}` with `unsigned` lets every customer of the host in", text.value);
                        let problem = Problem::warning(message, text.place.clone());
                        section.note(problem.help("all of their webhooks come from these addresses: use a `secret`"));
                    }
                }
                None => allowed.networks.extend(network(section, text, &words)),
            }
        }
        allowed
    }
}
