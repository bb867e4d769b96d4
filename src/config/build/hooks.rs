//! `[hooks]`: webhooks that Hookbell manages on a code host.

use std::collections::BTreeMap;

use url::Url;

use super::Builder;
use crate::config::problems::{ConfigProblem, HooksProblem};
use crate::config::secret;
use crate::config::section::{Section, Taken};
use crate::config::{HookToken, ManagedHooks, Secrets, SourceEntry};
use crate::event::SourceName;
use crate::http_client::is_loopback;
use crate::source::hooks::{HookApiKind, Place};

impl Builder<'_> {
    /// `[hooks]`; `None` if it is missing or invalid.
    pub(super) fn hooks(
        &self,
        root: &mut Section<'_>,
        sources: &BTreeMap<SourceName, SourceEntry>,
    ) -> Option<ManagedHooks> {
        let mut section = root.optional("hooks")?;
        let source = source(&mut section, sources);
        let places = places(&mut section);
        let email = section.string("email").map(|email| email.value);
        let token = self.hook_token(&mut section);
        let (public_url, api_url) = (url(&mut section, "public_url"), url(&mut section, "api_url"));
        let (public_url_place, api_url_place) =
            (section.place_of_taken("public_url"), section.place_of_taken("api_url"));
        if public_url.is_none() {
            section.note(&missing("public_url"), section.place());
        }
        section.finish();
        let ((source, api), public_url) = (source?, public_url??);
        if public_url.path().contains("/hooks/") {
            root.note(&HooksProblem::WebhookUrl, public_url_place);
            return None;
        }
        if is_private(&public_url) {
            root.note(&HooksProblem::PrivateUrl, public_url_place);
        } else if public_url.scheme() == "http" {
            root.note(&HooksProblem::PlainPublicUrl, public_url_place);
        }
        let api_url = match api_url {
            Some(given) => given?,
            None => api.url.parse().ok()?,
        };
        if api_url.scheme() == "http" && !is_loopback(&api_url) {
            root.note(&HooksProblem::PlainApiUrl, api_url_place);
        }
        Some(ManagedHooks { source, places: places?, email, token: token?, public_url, api_url })
    }

    /// The token. The service does not need it, so that a missing one is an error only of the commands that do.
    fn hook_token(&self, section: &mut Section<'_>) -> Option<HookToken> {
        let Some(taken) = section.any("token") else {
            section.note(&missing("token"), section.place());
            return None;
        };
        let mut forms = secret::forms(&taken);
        let form = match (forms.pop()?, forms.is_empty()) {
            (Ok(form), true) => form,
            (Err(problem), true) => {
                section.add(problem);
                return None;
            }
            (_, false) => {
                section.note(&ConfigProblem::NotOneSecret("token"), taken.place);
                return None;
            }
        };
        let directory = &section.document.directory;
        let token = match secret::read(&form, directory, Secrets::Leave) {
            Ok(token) => token,
            Err(error) if error.is_missing() => None,
            // An error only of the commands that need it.
            Err(error) => {
                section.note(&HooksProblem::Token(error), taken.place.clone());
                None
            }
        };
        if let Some(problem) = secret::exposed(&form, directory, section.document, &taken.place) {
            section.note(&problem, taken.place);
        }
        Some(HookToken { token, origin: form.shown(directory) })
    }
}

/// Returns true for an address that no code host can reach.
fn is_private(url: &Url) -> bool {
    is_loopback(url)
        || match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
            Some(url::Host::Ipv6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
            _ => false,
        }
}

fn missing(key: &'static str) -> HooksProblem {
    HooksProblem::MissingKey(key)
}

/// The source whose webhooks are managed, and the API of its host.
fn source(
    section: &mut Section<'_>,
    sources: &BTreeMap<SourceName, SourceEntry>,
) -> Option<(SourceName, &'static HookApiKind)> {
    let able: Vec<_> = sources.iter().filter_map(|(name, entry)| Some((name.clone(), entry.provider.hooks?))).collect();
    let known = || able.iter().map(|(name, _)| name.to_string()).collect();
    match section.string("source") {
        Some(named) => {
            let found = able.iter().find(|(name, _)| name.as_str() == named.value).cloned();
            if found.is_none() {
                section.note(&HooksProblem::UnknownSource { name: named.value, known: known() }, named.place);
            }
            found
        }
        None => match &able[..] {
            [one] => Some(one.clone()),
            _ => {
                section.note(&HooksProblem::WhichSource(known()), section.place());
                None
            }
        },
    }
}

/// The workspace, or its repositories.
fn places(section: &mut Section<'_>) -> Option<Vec<Place>> {
    let (workspace, repos) = (section.string("workspace"), section.strings("repos"));
    let Some(workspace) = workspace else {
        section.note(&missing("workspace"), section.place());
        return None;
    };
    let is_name = |taken: &Taken<String>| {
        let is_name = !taken.value.is_empty() && !taken.value.contains(['/', '*', '?', ' ']);
        if !is_name {
            section.note(&HooksProblem::NotAName(taken.value.clone()), taken.place.clone());
        }
        is_name
    };
    if !is_name(&workspace) {
        return None;
    }
    let Some(repos) = repos else { return Some(vec![Place::Workspace(workspace.value)]) };
    if repos.is_empty() {
        section.note(&HooksProblem::NoRepos, section.place_of_taken("repos"));
        return None;
    }
    // All wrong names are reported.
    let wrong = repos.iter().filter(|repo| !is_name(repo)).count();
    let in_workspace = |repo: Taken<String>| Place::Repository { workspace: workspace.value.clone(), repo: repo.value };
    (wrong == 0).then(|| repos.into_iter().map(in_workspace).collect())
}

/// The URL of a service; `None` if the key is missing, and within it if the URL is invalid.
fn url(section: &mut Section<'_>, key: &'static str) -> Option<Option<Url>> {
    let taken = section.string(key)?;
    let url = service_url(&taken.value);
    if url.is_none() {
        section.note(&HooksProblem::NotAServiceUrl(taken.value), taken.place);
    }
    Some(url)
}

/// Parses the URL of a service: with a scheme, a host and a path, and nothing else.
pub(crate) fn service_url(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "https" | "http") && url.has_host() && is_plain).then_some(url)
}
