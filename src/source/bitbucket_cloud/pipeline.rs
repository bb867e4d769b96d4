//! `pipeline:span_created`: traces of pipelines as OpenTelemetry JSON
//! (<https://www.atlassian.com/blog/bitbucket/bitbucket-pipelines-opentelemetry-traces-via-webhooks>). A run sends many
//! spans; only the span of the run itself is posted, not those of its steps, commands and containers.

use std::sync::Arc;

use crate::source::json::Json;
use jiff::Timestamp;

use super::Reader;
use super::json::{items, link, number, text, without_braces};
use crate::event::{BuildState, Event, Kind, Pipeline, RefKind, Repository, duration};

/// Maximum number of runs in one request.
const MAX_RUNS: usize = 100;

/// Name of the span of a whole run.
const RUN: &str = "bbc.pipeline_run";

impl Reader<'_> {
    pub(super) fn pipeline_events(&self) -> Vec<Event> {
        let resources = items(&self.payload["resourceSpans"]).iter();
        let scopes = resources.flat_map(|resource| items(&resource["scopeSpans"]));
        let spans = scopes.flat_map(|scope| items(&scope["spans"]));
        spans
            .filter(|span| span["name"].as_str() == Some(RUN))
            .take(MAX_RUNS)
            .map(|span| self.pipeline_event(span))
            .collect()
    }

    fn pipeline_event(&self, span: &Json<'_>) -> Event {
        let get = |key: &str| attribute(span, key).and_then(text);
        let result = get("pipeline.state.result.name");
        let state = result.as_deref().and_then(state);
        let kind = match state {
            Some(BuildState::Succeeded) => Kind::PipelineSucceeded,
            Some(BuildState::Failed) => Kind::PipelineFailed,
            Some(BuildState::Stopped) => Kind::PipelineStopped,
            Some(BuildState::Running) | None => Kind::Other,
        };
        let (started, finished) = (timestamp(&span["startTimeUnixNano"]), timestamp(&span["endTimeUnixNano"]));
        let seconds = started
            .zip(finished)
            .and_then(|(started, finished)| u64::try_from(finished.as_second() - started.as_second()).ok());
        let tag = get("pipeline.target.ref_type").is_some_and(|kind| kind.eq_ignore_ascii_case("tag"));
        let name = get("pipeline.target.ref_name");
        let mut event = Event::new(kind, self.key);
        event.time = finished;
        // The span identifies the repository only by its id.
        event.repository = get("pipeline.repository.uuid")
            .map(|id| Arc::new(Repository { id: Some(without_braces(&id)), ..Repository::default() }));
        event.pipeline = Some(Pipeline {
            id: get("pipeline_run.uuid").map(|id| without_braces(&id)),
            number: ["pipeline_run.run_number", "pipeline.build_number"]
                .iter()
                .find_map(|key| attribute(span, key).and_then(number)),
            state,
            result,
            url: attribute(span, "pipeline_run.url").and_then(link),
            ref_kind: name.as_ref().map(|_| if tag { RefKind::Tag } else { RefKind::Branch }),
            branch: name.clone().filter(|_| !tag),
            tag: name.filter(|_| tag),
            trigger: get("pipeline.trigger.name").map(|trigger| trigger.to_lowercase()),
            started,
            finished,
            seconds,
            duration: seconds.map(duration),
        });
        event
    }
}

/// Returns the value of an attribute, independent of the OpenTelemetry type that wraps it.
fn attribute<'a>(span: &'a Json<'a>, key: &str) -> Option<&'a Json<'a>> {
    let found = items(&span["attributes"]).iter().find(|attribute| attribute["key"].as_str() == Some(key))?;
    found["value"].as_object()?.values().next()
}

/// Converts a result. Spans have `COMPLETE` and `FAILED`; the others are the results of the pipelines API
/// (<https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>).
fn state(result: &str) -> Option<BuildState> {
    match result {
        "COMPLETE" | "COMPLETED" | "SUCCESSFUL" | "PASSED" => Some(BuildState::Succeeded),
        "FAILED" | "ERROR" | "EXPIRED" => Some(BuildState::Failed),
        "STOPPED" | "HALTED" => Some(BuildState::Stopped),
        _ => None,
    }
}

/// Reads nanoseconds since 1970, as a number or as a string of digits.
fn timestamp(value: &Json<'_>) -> Option<Timestamp> {
    Timestamp::from_nanosecond(number(value)?.into()).ok()
}
