//! Hookbell receives webhooks from code hosts, routes their events to channels, and posts messages there.
//!
//! Request path: [`server`] reads a request, a [`source`] verifies it and parses it into [`event`]s, [`routing`]
//! selects their channels, and a [`store`] keeps everything. Only then is the request answered. Delivery path:
//! [`delivery`](service::delivery) takes a delivery from the store, [`template`] turns the event into a [`message`],
//! and a [`chat`] renders and sends it. The [`service`] connects them.
//!
//! For example, the one-line message for a push to a Bitbucket Cloud repository:
//!
//! ```
//! use hookbell::message::plain_text;
//! use hookbell::source::{Rejection, provider};
//! use hookbell::template::{Context, Library};
//!
//! let bitbucket = provider("bitbucket-cloud").expect("a built-in provider");
//! let sample = bitbucket.sample("push").expect("a built-in sample");
//! let event = bitbucket.parse_sample(sample)?.events.remove(0);
//! let rendered = Library::built_in().render(&Context::of(&event), None);
//! assert_eq!(plain_text(&rendered.message.line), "acme/api main: Ana Ruiz pushed 3 commits");
//! # Ok::<(), Rejection>(())
//! ```

pub mod chat;
pub mod cli;
pub mod config;
pub mod event;
pub mod http_client;
mod mac;
pub mod memory;
pub mod message;
pub mod pattern;
pub mod problem;
pub mod routing;
pub mod server;
pub mod service;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod text;
pub mod text_file;
pub mod time;
pub mod tls;
