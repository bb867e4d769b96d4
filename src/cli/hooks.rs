//! `hookbell hooks`: list, create, repair and remove the webhooks on the code host.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use url::Url;

use super::Failure;
use super::print::{errln, outln};
use super::shown::{in_line, table};
use crate::config::{self, Secrets};
use crate::service::hooks::{Changes, Hooks, HooksError, Listed, Plan, RemoveReason, SecretReason, Step};
use crate::source::hooks::{Hook, HookSettings, Place};

/// Arguments of `hookbell hooks`.
#[derive(Args)]
pub(super) struct HooksCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the webhooks of the configured workspace or repositories
    List {
        /// JSON output, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Create missing webhooks and repair those that differ from the configuration
    Sync {
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Take over the webhook with this id, which somebody else created
        #[arg(long, value_name = "UUID")]
        adopt: Option<String>,
    },
    /// Remove the webhooks that Hookbell manages
    Remove {
        /// Show what would be removed, and remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Row of `hooks list`.
#[derive(Serialize)]
struct Row {
    place: String,
    id: String,
    /// True if Hookbell manages it.
    managed: bool,
    title: String,
    /// URL; only the server of a webhook that Hookbell does not manage, because the rest may be a secret.
    url: String,
    active: bool,
    events: Vec<String>,
    /// True if requests are signed.
    secret: Option<bool>,
}

impl HooksCommand {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let settings = config::load(config, Secrets::Optional).sound().map_err(Failure::Problems)?;
        let mut hooks = Hooks::new(&settings)?;
        super::runtime()?.block_on(async {
            match self.what {
                What::List { json } => list(&hooks, json).await,
                What::Sync { dry_run, adopt } => sync(&mut hooks, dry_run, adopt.as_deref()).await,
                What::Remove { dry_run } => remove(&mut hooks, dry_run).await,
            }
        })
    }
}

async fn list(hooks: &Hooks, json: bool) -> Result<(), Failure> {
    let (mut rows, mut failures) = (vec![], Failures::default());
    for place in hooks.places() {
        match hooks.list(place).await {
            Ok(listed) => rows.extend(listed.into_iter().map(|listed| row(place, listed))),
            Err(error) => failures.add(error)?,
        }
    }
    if rows.is_empty() && failures.0 > 0 {
        return failures.result();
    }
    let heading = ["PLACE", "ID", "MANAGED", "TITLE", "URL", "EVENTS", "STATE"];
    table(&rows, json, "no webhooks", heading, |row| {
        let state = match (row.active, row.secret) {
            (false, _) => "inactive",
            (true, Some(false)) => "not signed",
            (true, _) => "active",
        };
        [
            row.place.clone(),
            row.id.clone(),
            if row.managed { "yes" } else { "no" }.to_owned(),
            row.title.clone(),
            row.url.clone(),
            row.events.len().to_string(),
            state.to_owned(),
        ]
    });
    failures.result()
}

fn row(place: &Place, Listed { hook, is_ours }: Listed) -> Row {
    let Hook { id, settings: HookSettings { url, title, active, events, .. }, has_secret } = hook;
    let url = if is_ours { url } else { server(&url) };
    let events = events.into_iter().collect();
    Row { place: place.to_string(), id, managed: is_ours, title, url, active, events, secret: has_secret }
}

/// Returns the server of a URL.
fn server(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "-".to_owned(), |url| url.origin().ascii_serialization())
}

async fn sync(hooks: &mut Hooks, dry_run: bool, adopt: Option<&str>) -> Result<(), Failure> {
    // Locked before anything is read, so that two commands do not create the same webhook.
    let mut changes = if dry_run { Way::Show(hooks) } else { Way::Change(hooks.changes()?) };
    if let Some(id) = adopt {
        changes.hooks().find(id).await?;
    }
    let mut failures = Failures::default();
    for place in changes.hooks().places().to_vec() {
        let plan = changes.hooks().plan(&place, adopt).await;
        if let Err(error) = carry_out(&mut changes, plan).await {
            failures.add(error)?;
        }
    }
    // A failure may mean that the webhook that replaces these does not exist yet.
    if failures.0 == 0 {
        remove_left(&mut changes, &mut failures).await?;
    }
    failures.result()
}

async fn remove(hooks: &mut Hooks, dry_run: bool) -> Result<(), Failure> {
    let mut changes = if dry_run { Way::Show(hooks) } else { Way::Change(hooks.changes()?) };
    let mut failures = Failures::default();
    for place in changes.hooks().places().to_vec() {
        let plan = changes.hooks().plan_removal(&place).await;
        if let Err(error) = carry_out(&mut changes, plan).await {
            failures.add(error)?;
        }
    }
    remove_left(&mut changes, &mut failures).await?;
    failures.result()
}

/// Removes the webhooks of places that the configuration no longer names.
async fn remove_left(changes: &mut Way<'_>, failures: &mut Failures) -> Result<(), Failure> {
    for place in changes.hooks().left_places() {
        let plan = changes.hooks().plan_left(&place);
        if let Err(error) = carry_out(changes, Ok(plan)).await {
            failures.add(error)?;
        }
    }
    Ok(())
}

/// Whether plans are carried out, or only shown.
enum Way<'a> {
    Show(&'a mut Hooks),
    Change(Changes<'a>),
}

impl Way<'_> {
    fn hooks(&mut self) -> &mut Hooks {
        match self {
            Self::Show(hooks) => hooks,
            Self::Change(changes) => changes.hooks,
        }
    }
}

/// Shows a plan and carries it out.
async fn carry_out(way: &mut Way<'_>, plan: Result<Plan, HooksError>) -> Result<(), HooksError> {
    let Plan { place, steps, not_offered } = plan?;
    if steps.is_empty() {
        outln!("{}: no webhook of Hookbell", in_line(&place.to_string()));
    }
    for step in &steps {
        show(&place, step, matches!(way, Way::Show(_)));
        if let Way::Change(changes) = way
            && let Some(id) = changes.perform(&place, step).await?
        {
            outln!("  created   {}", in_line(&id));
        }
    }
    if !not_offered.is_empty() {
        outln!("  left out  {}: the host does not offer them here", not_offered.join(", "));
    }
    Ok(())
}

fn show(place: &Place, step: &Step, is_plan: bool) {
    let place = in_line(&place.to_string());
    let verb = |plan: &'static str, change: &'static str| if is_plan { plan } else { change };
    match step {
        Step::Create(wanted) => {
            outln!("{place}: {} a webhook", verb("would create", "creating"));
            outln!("  url       {}", wanted.url);
            outln!("  events    {}", wanted.events.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        }
        Step::Change { hook, wanted, secret } => {
            outln!("{place}: {} webhook {}", verb("would change", "changing"), in_line(&hook.id));
            differences(&hook.settings, wanted);
            if let Some(reason) = secret {
                let why = match reason {
                    SecretReason::Missing => "the webhook has none",
                    SecretReason::Changed => "it has changed since it was set",
                    SecretReason::Unknown => "it was not set by Hookbell",
                };
                outln!("  secret    set: {why}");
            }
        }
        Step::Keep(hook) => outln!("{place}: webhook {} is up to date", in_line(&hook.id)),
        Step::Remove { id, reason } => {
            let why = match reason {
                RemoveReason::Double => ": another webhook posts to the same URL",
                RemoveReason::NotConfigured => ": `[hooks]` no longer names the place",
                RemoveReason::Asked => "",
            };
            outln!("{place}: {} webhook {}{why}", verb("would remove", "removing"), in_line(id));
        }
    }
}

fn differences(from: &HookSettings, to: &HookSettings) {
    if from.url != to.url {
        // The URL of a webhook that somebody else made may be a secret.
        let shown =
            if server(&from.url) == server(&to.url) { from.url.clone() } else { format!("{}/…", server(&from.url)) };
        outln!("  url       {} → {}", in_line(&shown), to.url);
    }
    if from.title != to.title {
        outln!("  title     {} → {}", in_line(&from.title), to.title);
    }
    if from.active != to.active {
        outln!("  state     inactive → active");
    }
    if from.verifies_certificate != to.verifies_certificate {
        outln!("  tls       any certificate → only valid ones");
    }
    let added = to.events.difference(&from.events).map(|event| format!("+{event}"));
    let removed = from.events.difference(&to.events).map(|event| format!("-{event}"));
    let events: Vec<_> = added.chain(removed).collect();
    if !events.is_empty() {
        outln!("  events    {}", in_line(&events.join(", ")));
    }
}

/// Number of places that failed.
#[derive(Default)]
struct Failures(usize);

impl Failures {
    /// Reports a failure. Returns it if all further requests would fail too.
    fn add(&mut self, error: HooksError) -> Result<(), Failure> {
        if !error.is_local() {
            return Err(error.into());
        }
        errln!("{}", super::shown::sanitized_lines(&error.to_string()));
        self.0 += 1;
        Ok(())
    }

    fn result(self) -> Result<(), Failure> {
        if self.0 == 0 { Ok(()) } else { Err(Failure::HooksFailed(self.0)) }
    }
}
