//! The objects that all payloads share: accounts, repositories, commits.

use serde_json::Value;
use url::Url;

use super::Reader;
use super::json::{cut_name, items, link, long_text, page, text, time, without_braces};
use crate::event::{Account, AccountKind, Commit, Project, Repository, Visibility};

/// Parents of a commit that are kept; a merge of more branches is rare.
const MAX_PARENTS: usize = 16;

/// The first line of a commit's message.
fn first_line(message: &str) -> String {
    cut_name(message.trim().lines().next().unwrap_or_default().trim_end())
}

/// The name to show. A workspace, which may own what a team owned before, has a `name` and a `slug`.
fn shown_name(account: &Value) -> Option<String> {
    ["display_name", "nickname", "username", "name", "slug"].iter().find_map(|key| text(&account[key]))
}

/// What an account is known by.
pub(super) fn account_id(account: &Value) -> Option<String> {
    text(&account["account_id"]).or_else(|| text(&account["uuid"]).map(|uuid| without_braces(&uuid)))
}

/// The workspace in the address of a project's page: `https://bitbucket.org/acme/workspace/projects/PLAT`.
fn workspace_of(page: &str) -> Option<String> {
    let page = Url::parse(page).ok()?;
    let mut segments = page.path_segments()?;
    let workspace = segments.next()?;
    (segments.next()? == "workspace" && !workspace.is_empty()).then(|| workspace.to_owned())
}

impl Reader<'_> {
    /// An account, whatever is left of it. `username` is a last resort: since 2019 only teams have one
    /// (<https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>).
    pub(super) fn account(&self, account: &Value) -> Account {
        let nickname = text(&account["nickname"]);
        let name = shown_name(account).unwrap_or_else(|| Account::UNKNOWN.to_owned());
        let bot =
            self.settings.bots.matches(&name) || nickname.as_deref().is_some_and(|n| self.settings.bots.matches(n));
        let kind = match account["type"].as_str() {
            _ if bot => AccountKind::Bot,
            Some("team" | "workspace") => AccountKind::Team,
            Some("app_user") => AccountKind::App,
            _ => AccountKind::User,
        };
        Account {
            id: account_id(account),
            name,
            nickname,
            kind,
            url: page(account),
            avatar: link(&account["links"]["avatar"]["href"]),
        }
    }

    /// The repository that the payload is about.
    pub(super) fn repository(&self, repository: &Value) -> Option<Repository> {
        if !repository.is_object() {
            return None;
        }
        let full_name = text(&repository["full_name"]);
        let of_full_name = || full_name.as_deref()?.split_once('/').map(|(workspace, _)| workspace.to_owned());
        Some(Repository {
            id: text(&repository["uuid"]).map(|uuid| without_braces(&uuid)),
            name: text(&repository["name"]),
            workspace: text(&repository["workspace"]["slug"]).or_else(of_full_name),
            project: self.project(&repository["project"]),
            url: page(repository),
            visibility: repository["is_private"].as_bool().map(|private| match private {
                true => Visibility::Private,
                false => Visibility::Public,
            }),
            fork: repository.get("parent").map(Value::is_object),
            parent: text(&repository["parent"]["full_name"]),
            description: text(&repository["description"]),
            full_name,
        })
    }

    pub(super) fn project(&self, project: &Value) -> Option<Project> {
        project.is_object().then(|| Project {
            id: text(&project["uuid"]).map(|uuid| without_braces(&uuid)),
            key: text(&project["key"]),
            name: text(&project["name"]),
            workspace: text(&project["workspace"]["slug"])
                .or_else(|| text(&project["owner"]["username"]))
                .or_else(|| workspace_of(&page(project)?)),
            url: page(project),
        })
    }

    pub(super) fn commit(&self, commit: &Value) -> Option<Commit> {
        let hash = text(&commit["hash"])?;
        let message = long_text(&commit["message"]).unwrap_or_default();
        let author = self.commit_author(&commit["author"]);
        let by = author.as_ref().map(|author| author.name.clone());
        Some(Commit {
            by: by.filter(|name| Some(name) != shown_name(&self.payload["actor"]).as_ref()),
            short: hash.chars().take(7).collect(),
            subject: first_line(&message),
            hash,
            message,
            author,
            url: page(commit),
            parents: items(&commit["parents"])
                .iter()
                .take(MAX_PARENTS)
                .filter_map(|parent| text(&parent["hash"]))
                .collect(),
            time: time(&commit["date"]),
        })
    }

    /// A commit's author: an account, or where the e-mail address matches none, the name beside the address.
    fn commit_author(&self, author: &Value) -> Option<Account> {
        if author["user"].is_object() {
            return Some(self.account(&author["user"]));
        }
        let raw = text(&author["raw"])?;
        let name = raw.split('<').next().unwrap_or_default().trim();
        let address = name.is_empty() || name.contains('@');
        (!address).then(|| Account { name: name.to_owned(), ..self.account(&Value::Null) })
    }
}
