//! One string of a template, compiled, and rendering it.

use std::io;

use handlebars::{
    BlockContext, BlockParamHolder, Context, Handlebars, Output, RenderContext, RenderError, RenderErrorReason,
    Renderable,
};
use serde_json::Value;

use super::budget;
use super::direct::Stretch;
use super::helpers::Skip;

/// The most that one slot of a template may render to, in bytes; chats show far less.
pub(super) const LARGEST_OUTPUT: usize = 256 * 1024;

/// Room for what most slots render to, in bytes.
const USUAL_OUTPUT: usize = 16 * 1024;

/// One string of a template.
pub(super) enum Slot {
    /// Without expressions: what it says.
    Plain(String),
    /// With expressions: what the slot is called, and what it says.
    Template(String, Vec<Stretch>),
}

/// Why a slot rendered to nothing that can be used.
pub(super) enum SlotError {
    /// The template says that there is nothing to tell, and why.
    Skip(String),
    /// It failed, with the slot and the line within it.
    Failed(String),
}

/// An event on its way into slots. All of them share one buffer.
pub(super) struct Rendering<'a> {
    registry: &'a Handlebars<'a>,
    context: &'a Context,
    /// What stands for `item`, in what is shown once for each of a list.
    pub(super) item: Option<Value>,
    output: Capped,
}

impl<'a> Rendering<'a> {
    pub(super) fn new(registry: &'a Handlebars<'a>, context: &'a Context) -> Self {
        budget::begin();
        Self { registry, context, item: None, output: Capped(String::with_capacity(USUAL_OUTPUT)) }
    }

    /// What a slot renders to, shielded.
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
            // `item` is a name that only Handlebars knows.
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

    /// The value that a plain path leads to.
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
    SlotError::Failed(format!("in `{slot}`: {error}"))
}

/// A buffer that refuses to grow past [`LARGEST_OUTPUT`].
struct Capped(String);

impl Output for Capped {
    fn write(&mut self, text: &str) -> io::Result<()> {
        budget::spend(1).map_err(io::Error::other)?;
        if self.0.len() + text.len() > LARGEST_OUTPUT {
            return Err(io::Error::other(format!("renders to more than {} KB", LARGEST_OUTPUT / 1024)));
        }
        self.0.push_str(text);
        Ok(())
    }
}
