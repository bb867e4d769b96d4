//! Compiled strings of a template, and their rendering.

use std::io;

use handlebars::{
    BlockContext, BlockParamHolder, Context, Handlebars, Output, RenderContext, RenderError, RenderErrorReason,
    Renderable,
};
use serde_json::Value;

use super::budget;
use super::direct::Stretch;
use super::helpers::Skip;
use super::problems;

/// Maximum output of one slot in bytes; chats show far less.
pub(super) const MAX_OUTPUT: usize = 256 * 1024;

/// Initial buffer size in bytes, enough for most slots.
const USUAL_OUTPUT: usize = 16 * 1024;

/// String of a template.
pub(super) enum Slot {
    /// Text without expressions.
    Plain(String),
    /// Name of the slot, and its text with expressions.
    Template(String, Vec<Stretch>),
}

/// Reason for a slot without usable output.
pub(super) enum SlotError {
    /// The template skips the message, for this reason.
    Skip(String),
    /// Rendering failed.
    Failed(problems::RenderError),
}

/// Renders the slots of a template for one event. All slots share one buffer.
pub(super) struct Rendering<'a> {
    registry: &'a Handlebars<'a>,
    context: &'a Context,
    /// Value of `item` in a field or button with `each`.
    pub(super) item: Option<Value>,
    output: Capped,
}

impl<'a> Rendering<'a> {
    pub(super) fn new(registry: &'a Handlebars<'a>, context: &'a Context) -> Self {
        budget::begin();
        Self { registry, context, item: None, output: Capped(String::with_capacity(USUAL_OUTPUT)) }
    }

    /// Renders a slot; values in the output are shielded.
    pub(super) fn slot<'s>(&'s mut self, slot: &'s Slot) -> Result<&'s str, SlotError> {
        let (name, stretches) = match slot {
            Slot::Plain(text) => {
                budget::spend(1).map_err(SlotError::Failed)?;
                return Ok(text);
            }
            Slot::Template(name, stretches) => (name, stretches),
        };
        self.output.0.clear();
        for stretch in stretches {
            // Only Handlebars can resolve `item`.
            if self.item.is_none() && stretch.write(self.context.data(), &mut self.output.0) {
                continue;
            }
            let mut state = RenderContext::new(None);
            if let Some(item) = &self.item {
                let mut block = BlockContext::new();
                block.set_block_param("item", BlockParamHolder::value(item.clone()));
                state.push_block(block);
            }
            let rendered = stretch.template.render(self.registry, self.context, &mut state, &mut self.output);
            rendered.map_err(|error| ended(name, &error))?;
        }
        Ok(&self.output.0)
    }

    /// Returns the value of a plain path.
    pub(super) fn value(&self, path: &str) -> &'a Value {
        path.split('.').fold(self.context.data(), |value, part| match part.parse::<usize>() {
            Ok(place) if value.is_array() => &value[place],
            _ => &value[part],
        })
    }
}

fn ended(slot: &str, error: &RenderError) -> SlotError {
    if let RenderErrorReason::NestedError(cause) = error.reason()
        && let Some(Skip(why)) = cause.downcast_ref()
    {
        return SlotError::Skip(why.clone());
    }
    SlotError::Failed(problems::RenderError::Slot { slot: slot.to_owned(), reason: error.to_string() })
}

/// Buffer that fails to grow beyond [`MAX_OUTPUT`].
struct Capped(String);

impl Output for Capped {
    fn write(&mut self, text: &str) -> io::Result<()> {
        budget::spend(1).map_err(io::Error::other)?;
        if self.0.len() + text.len() > MAX_OUTPUT {
            return Err(io::Error::other(problems::RenderError::TooMuchOutput));
        }
        self.0.push_str(text);
        Ok(())
    }
}
