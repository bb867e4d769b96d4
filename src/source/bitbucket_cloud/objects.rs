//! Objects that all payloads share: accounts, repositories, commits.

use crate::source::json::Json;
use url::Url;

use super::Reader;
use super::json::{cut_name, items, link, long_text, page, text, time, without_braces};
use crate::event::{Account, AccountKind, Commit, Project, Repository, Visibility};

/// Maximum number of stored parents of a commit; a merge of more branches is rare.
const MAX_PARENTS: usize = 16;

/// Returns the first line of a commit message.
fn first_line(message: &str) -> String {
    cut_name(message.trim().lines().next().unwrap_or_default().trim_end())
}

/// Returns the display name. A workspace, which may be the owner where a team was before, has `name` and `slug`.
fn shown_name(account: &Json<'_>) -> Option<String> {
    ["display_name", "nickname", "username", "name", "slug"].iter().find_map(|key| text(&account[*key]))
}

/// Returns the id of an account.
pub(super) fn account_id(account: &Json<'_>) -> Option<String> {
    text(&account["account_id"]).or_else(|| text(&account["uuid"]).map(|uuid| without_braces(&uuid)))
}

/// Returns the workspace in the URL of a project's page: `https://bitbucket.org/acme/workspace/projects/PLAT`.
fn workspace_of(page: &str) -> Option<String> {
    let page = Url::parse(page).ok()?;
    let mut segments = page.path_segments()?;
    let workspace = segments.next()?;
    (segments.next()? == "workspace" && !workspace.is_empty()).then(|| workspace.to_owned())
}

impl Reader<'_> {
    /// Reads an account, of which any field may be missing. `username` is a last resort: since 2019 only teams have one
    /// (<https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>).
    pub(super) fn account(&self, account: &Json<'_>) -> Account {
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

    /// Reads the repository of the payload.
    pub(super) fn repository(&self, repository: &Json<'_>) -> Option<Repository> {
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
            fork: repository.get("parent").map(Json::is_object),
            parent: text(&repository["parent"]["full_name"]),
            description: text(&repository["description"]),
            full_name,
        })
    }

    pub(super) fn project(&self, project: &Json<'_>) -> Option<Project> {
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

    pub(super) fn commit(&self, commit: &Json<'_>) -> Option<Commit> {
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

    /// Returns the author of a commit: an account, or the name before the e-mail address if the address matches no
    /// account.
    fn commit_author(&self, author: &Json<'_>) -> Option<Account> {
        if author["user"].is_object() {
            return Some(self.account(&author["user"]));
        }
        let raw = text(&author["raw"])?;
        let name = raw.split('<').next().unwrap_or_default().trim();
        let address = name.is_empty() || name.contains('@');
        (!address).then(|| Account { name: name.to_owned(), ..self.account(&Json::Null) })
    }
}
