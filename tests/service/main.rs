//! Tests of the real program over real sockets with its real store: from webhooks to messages.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod acme;
mod answers;
mod attacks;
mod bitbucket_api;
mod cases;
mod chats;
mod command_line;
mod crash;
mod day;
mod deliveries;
mod documents;
mod examples;
mod expectations;
mod explain;
mod fakes;
mod faults;
mod hooks;
mod init;
mod links;
mod older_store;
mod operations;
mod pebble;
mod power;
mod program;
mod programs;
mod proxies;
mod reload;
mod restart;
mod senders;
mod slack_bot;
mod templates;
mod tls;

/// Locked by tests that open hundreds of connections, so that only one runs at a time.
static MANY_CONNECTIONS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
