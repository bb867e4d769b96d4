//! Hookbell takes a code host's webhooks, routes their events to channels, and says them there.
//!
//! A request's way in: [`server`] reads it, a [`source`] verifies and parses it into [`event`]s, [`routing`]
//! decides who hears of them, a [`store`] keeps it all, and only then is it answered. A delivery's way out:
//! [`delivery`] takes it from the store, [`template`] makes a [`message`] of it, a [`chat`] draws and sends that.

pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod event;
pub mod explain;
pub mod health;
pub mod http_client;
pub mod memory;
pub mod message;
pub mod problem;
pub mod routing;
pub mod server;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod text_file;
