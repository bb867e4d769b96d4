//! `{{mention …}}`: accounts by their names, who are pinged where the config says who they are in a chat.

use std::sync::Arc;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, ScopedJson,
};
use serde_json::Value;

use super::text;
use crate::message::markdown::Splice;
use crate::message::shield::shield;
use crate::message::{People, Person};

/// Stands between several names.
const BETWEEN: &str = ", ";

/// The helper: of an account, a list of them, or a name.
pub(super) struct Mention(pub(super) Arc<People>);

impl Mention {
    /// The names, each with who is pinged by it. Whoever made the event knows of it, and never is.
    fn mentioned(&self, helper: &Helper<'_>, context: &Context) -> Vec<(String, Option<&Person>)> {
        let Some(value) = helper.param(0).map(|param| param.value()) else { return vec![] };
        let actor = &context.data()["actor"];
        let of_actor = self.0.find(actor);
        let is_actor = |account: &Value| account["id"].is_string() && account["id"] == actor["id"];
        let accounts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter();
        let named = accounts.map(|account| (account, name(account))).filter(|(_, name)| !name.is_empty());
        let pinged = |account: &Value| self.0.find(account).filter(|person| Some(*person) != of_actor);
        named.map(|(account, name)| (name, pinged(account).filter(|_| !is_actor(account)))).collect()
    }
}

impl HelperDef for Mention {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let names: Vec<_> = self.mentioned(helper, context).into_iter().map(|(name, _)| name).collect();
        Ok(ScopedJson::Derived(names.join(BETWEEN).into()))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let mentioned = self.mentioned(helper, context).into_iter().map(|(name, person)| match person {
            Some(person) => Splice::Mention(&name, person).shielded(),
            None => shield(&name),
        });
        let shown = mentioned.collect::<Vec<_>>().join(&shield(BETWEEN));
        // What is empty still leaves something inside the syntax around it.
        Ok(out.write(&if shown.is_empty() { shield("") } else { shown })?)
    }
}

fn name(account: &Value) -> String {
    text(account.get("name").unwrap_or(account))
}
