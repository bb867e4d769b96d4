//! The open connections of one listener, and the choice of the one to close when there are too many.
//!
//! A new connection is accepted unless all others are being served. When the listener or the client is at its limit,
//! the connection that has waited longest for its client is closed: an idle one, or one whose request is still
//! arriving. A connection whose request is being served is never closed for another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::client;
use crate::config::Live;

/// Maximum numbers of open connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// In total. Above it, the connection that has waited longest for its client is closed.
    pub(super) total: usize,
    /// Per client address (IPv6: /64). Above it, that client's own longest-waiting connection is closed.
    pub(super) per_client: usize,
}

impl Limits {
    /// Maximum for the public listener, if the process may open enough files.
    const MAX_PUBLIC: usize = 1_024;
    /// Files reserved for everything except the listeners' connections: database, outgoing connections, logs.
    const RESERVED_FILES: usize = 256;

    /// Returns the limits of the public and the admin listener for a process that may open `files` files.
    pub(super) fn for_open_files(files: usize) -> (Self, Self) {
        let room = files.saturating_sub(Self::RESERVED_FILES).max(files / 4);
        // Two thirds: a quarter more than `total` may be open while connections are being closed.
        let public = (room * 2 / 3).clamp(16, Self::MAX_PUBLIC);
        (Self::of(public), Self::of((public / 8).max(16)))
    }

    fn of(total: usize) -> Self {
        Self { total, per_client: (total / 2).max(8) }
    }

    /// Maximum number of connections, including those that are being closed.
    fn ceiling(self) -> usize {
        self.total + (self.total / 4).max(1)
    }

    /// Number of open connections from which each response closes its connection, so that none is kept alive.
    fn crowded(self) -> usize {
        self.total * 3 / 4
    }
}

/// Time without closing a connection for another, after which reaching a limit is logged again.
const QUIET: Duration = Duration::from_secs(5 * 60);

/// Reason why Hookbell closed a connection, as the `cause` label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The listener was at its limit.
    Limit,
    /// The client was at its limit.
    ClientLimit,
    /// No request arrived for too long.
    Idle,
    /// All connections were being served.
    Full,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::ClientLimit => "client_limit",
            Self::Idle => "idle",
            Self::Full => "full",
        }
    }
}

/// The open connections of a listener.
pub(super) struct Connections {
    listener: &'static str,
    limits: Limits,
    live: Live,
    table: Mutex<Table>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: BTreeMap<u64, Entry>,
    /// Connections that wait for their client, the longest-waiting first.
    waiting: BTreeSet<(Instant, u64)>,
    clients: HashMap<IpAddr, ClientEntry>,
    /// Number of connections that are closing and still open.
    closing: usize,
    /// Time at which a connection was last closed for another.
    last_closed: Option<Instant>,
}

#[derive(Default)]
struct ClientEntry {
    open: usize,
    waiting: BTreeSet<(Instant, u64)>,
}

struct Entry {
    /// `None` for a trusted proxy, which has no limit of its own.
    client: Option<IpAddr>,
    /// Time since which the connection has waited for its client.
    since: Instant,
    has_requested: bool,
    /// Number of requests in progress.
    requests: usize,
    /// Number of requests in progress that wait for nothing from the client.
    served: usize,
    close: Arc<Notify>,
    is_closing: bool,
}

impl Table {
    fn stop_waiting(&mut self, id: u64) {
        let Some(entry) = self.open.get(&id) else { return };
        let key = (entry.since, id);
        self.waiting.remove(&key);
        if let Some(client) = entry.client.and_then(|client| self.clients.get_mut(&client)) {
            client.waiting.remove(&key);
        }
    }

    /// Changes an entry and updates its place among the waiting connections.
    fn change(&mut self, id: u64, now: Instant, change: impl FnOnce(&mut Entry)) {
        self.stop_waiting(id);
        let Some(entry) = self.open.get_mut(&id) else { return };
        change(entry);
        entry.since = now;
        if entry.served > 0 || entry.is_closing {
            return;
        }
        let key = (now, id);
        self.waiting.insert(key);
        if let Some(client) = entry.client.and_then(|client| self.clients.get_mut(&client)) {
            client.waiting.insert(key);
        }
    }

    /// Closes the longest-waiting connection of one client or of all. Returns `false` if none waits.
    fn close_longest_waiting(&mut self, client: Option<IpAddr>) -> bool {
        let waiting = match client {
            Some(client) => self.clients.get(&client).and_then(|client| client.waiting.first()),
            None => self.waiting.first(),
        };
        let Some(&(_, id)) = waiting else { return false };
        self.stop_waiting(id);
        if let Some(entry) = self.open.get_mut(&id) {
            entry.is_closing = true;
            entry.close.notify_one();
            self.closing += 1;
        }
        true
    }
}

impl Connections {
    pub(super) fn new(listener: &'static str, limits: Limits, live: Live) -> Arc<Self> {
        Arc::new(Self { listener, limits, live, table: Mutex::default(), count: watch::Sender::new(0) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a new connection, and closes another one if there are too many. Returns `None` if all connections are
    /// being served and there is no room for one more.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Option<Connection> {
        let peer = peer.to_canonical();
        let is_proxy = self.live.now().trusted_proxies.iter().any(|network| network.contains(&peer));
        let client = (!is_proxy).then(|| client::network(peer));
        let now = Instant::now();
        let mut closed = None;
        let (connection, count) = {
            let mut table = self.table();
            if table.open.len() >= self.limits.ceiling() {
                drop(table);
                self.closed(Cause::Full);
                return None;
            }
            if let Some(client) = client
                && table.clients.get(&client).is_some_and(|entry| entry.open >= self.limits.per_client)
                && table.close_longest_waiting(Some(client))
            {
                closed = Some(Cause::ClientLimit);
            } else if table.open.len() - table.closing >= self.limits.total && table.close_longest_waiting(None) {
                closed = Some(Cause::Limit);
            }
            table.last_id += 1;
            let (id, close) = (table.last_id, Arc::new(Notify::new()));
            if let Some(client) = client {
                table.clients.entry(client).or_default().open += 1;
            }
            let entry = Entry {
                client,
                since: now,
                has_requested: false,
                requests: 0,
                served: 0,
                close: close.clone(),
                is_closing: false,
            };
            table.open.insert(id, entry);
            table.change(id, now, |_| {});
            (Connection { connections: self.clone(), id, close }, table.open.len())
        };
        self.counted(count);
        if let Some(cause) = closed {
            self.closed(cause);
            self.warn_once(cause, peer);
        }
        Some(connection)
    }

    /// Closes the longest-waiting connection, because the process can open no more files.
    pub(super) fn make_room(&self) {
        let is_closed = self.table().close_longest_waiting(None);
        if is_closed {
            self.closed(Cause::Limit);
        }
    }

    /// Returns `true` if responses must close their connections.
    pub(super) fn is_crowded(&self) -> bool {
        *self.count.borrow() >= self.limits.crowded()
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Returns the number of open connections.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    fn counted(&self, count: usize) {
        self.count.send_replace(count);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        metrics::gauge!("hookbell_connections", "listener" => self.listener).set(count as f64);
    }

    fn closed(&self, cause: Cause) {
        let (listener, cause) = (self.listener, cause.as_str());
        metrics::counter!("hookbell_connections_closed_total", "listener" => listener, "cause" => cause).increment(1);
    }

    /// Warns when a limit is first reached, and again only after [`QUIET`] without closing a connection.
    fn warn_once(&self, cause: Cause, peer: IpAddr) {
        let now = Instant::now();
        let last = self.table().last_closed.replace(now);
        if last.is_some_and(|last| now - last < QUIET) {
            return;
        }
        let limit = match cause {
            Cause::ClientLimit => self.limits.per_client,
            _ => self.limits.total,
        };
        tracing::warn!(
            listener = self.listener,
            cause = cause.as_str(),
            limit,
            client = %peer,
            "connection limit reached; closing the connections that have been idle longest"
        );
    }
}

/// One open connection. It counts as open until it is dropped.
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
}

impl Connection {
    /// Waits until this connection must make room for another.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Registers the start of a request.
    pub(super) fn request(self: &Arc<Self>) -> Exchange {
        self.connections.table().change(self.id, Instant::now(), |entry| {
            entry.has_requested = true;
            entry.requests += 1;
            entry.served += 1;
        });
        Exchange(Arc::new(Open(self.clone())))
    }

    /// Returns how long the connection has had no request, or `None` while it has one. The flag is `true` after the
    /// first request.
    pub(super) fn idle(&self) -> Option<(Duration, bool)> {
        let table = self.connections.table();
        let entry = table.open.get(&self.id).filter(|entry| entry.requests == 0)?;
        Some((entry.since.elapsed(), entry.has_requested))
    }

    /// Counts this connection as closed because it was idle.
    pub(super) fn timed_out(&self) {
        self.connections.closed(Cause::Idle);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let count = {
            let mut table = self.connections.table();
            table.stop_waiting(self.id);
            if let Some(entry) = table.open.remove(&self.id) {
                table.closing -= usize::from(entry.is_closing);
                if let Some(address) = entry.client
                    && let Some(client) = table.clients.get_mut(&address)
                {
                    client.open -= 1;
                    if client.open == 0 {
                        table.clients.remove(&address);
                    }
                }
            }
            table.open.len()
        };
        self.connections.counted(count);
    }
}

/// One request and its response. It ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Exchange(Arc<Open>);

struct Open(Arc<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.table().change(self.0.id, Instant::now(), |entry| {
            entry.requests -= 1;
            entry.served -= 1;
        });
    }
}

impl Exchange {
    /// Marks the request as arriving. Until the result is dropped, its connection may be closed for another.
    pub(super) fn receive(&self) -> Receiving {
        let connection = &self.0.0;
        connection.connections.table().change(connection.id, Instant::now(), |entry| entry.served -= 1);
        Receiving(self.clone())
    }
}

/// A request whose body is still arriving.
pub(super) struct Receiving(Exchange);

impl Drop for Receiving {
    fn drop(&mut self) {
        let connection = &self.0.0.0;
        connection.connections.table().change(connection.id, Instant::now(), |entry| entry.served += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, per_client: usize, server: &str) -> Arc<Connections> {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = crate::config::testing::settings(directory.path(), "");
        settings.trusted_proxies = server.split_whitespace().map(|network| network.parse().unwrap()).collect();
        Connections::new("public", Limits { total, per_client }, Live::new(settings))
    }

    fn is_closing(connection: &Connection) -> bool {
        connection.connections.table().open[&connection.id].is_closing
    }

    fn open(connections: &Arc<Connections>, peer: &str) -> Arc<Connection> {
        Arc::new(connections.open(peer.parse().unwrap()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn longest_idle_connection_is_closed_first() {
        let all = connections(3, 3, "");
        let tick = || tokio::time::advance(Duration::from_millis(1));
        let mut open_next = vec![];
        for n in 1..=3 {
            open_next.push(open(&all, &format!("192.0.2.{n}")));
            tick().await;
        }
        // The first connection makes a request and finishes it, so it has now waited for the shortest time.
        drop(open_next[0].request());
        tick().await;
        let fourth = open(&all, "192.0.2.4");
        assert_eq!(open_next.iter().map(|one| is_closing(one)).collect::<Vec<_>>(), [false, true, false]);
        assert!(!is_closing(&fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_in_use_stay_open_and_slow_ones_close() {
        let all = connections(2, 2, "");
        let served = open(&all, "192.0.2.1");
        let arriving = open(&all, "192.0.2.2");
        let exchanges = (served.request(), arriving.request());
        let body = exchanges.1.receive();
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = open(&all, "192.0.2.3");
        assert!(!is_closing(&served) && is_closing(&arriving) && !is_closing(&third));
        drop(body);
        let fourth = all.open("192.0.2.4".parse().unwrap());
        assert!(fourth.is_none(), "one connection above the limit may exist while another is closing, but no more");
    }

    #[tokio::test(start_paused = true)]
    async fn client_above_its_limit_closes_only_its_own_connections() {
        let all = connections(100, 2, "10.0.0.0/8");
        let other = open(&all, "192.0.2.1");
        tokio::time::advance(Duration::from_secs(1)).await;
        let own: Vec<_> = (1..=3).map(|n| open(&all, &format!("2001:db8::{n}"))).collect();
        assert!(is_closing(&own[0]) && !is_closing(&own[1]) && !is_closing(&other));
        let proxied: Vec<_> = (0..10).map(|_| open(&all, "::ffff:10.1.2.3")).collect();
        assert!(!proxied.iter().any(|one| is_closing(one)), "a trusted proxy represents many clients");
    }

    #[tokio::test(start_paused = true)]
    async fn first_request_counts_against_a_new_connection() {
        let all = connections(10, 10, "");
        let connection = open(&all, "192.0.2.1");
        assert_eq!(connection.idle(), Some((Duration::ZERO, false)));
        drop(connection.request());
        assert_eq!(connection.idle(), Some((Duration::ZERO, true)));
        drop(connection);
        assert_eq!(all.count(), 0);
        assert!(all.table().clients.is_empty() && all.table().waiting.is_empty());
    }

    #[test]
    fn connection_limit_leaves_room_for_other_files() {
        for (files, public, admin) in [(1_024, 512, 64), (256, 42, 16), (65_536, 1_024, 128), (0, 16, 16)] {
            let (is_public, is_admin) = Limits::for_open_files(files);
            assert_eq!((is_public.total, is_admin.total), (public, admin), "{files}");
        }
    }
}
