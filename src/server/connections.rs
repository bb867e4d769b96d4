//! The open connections of one listener, and which of them to close when there are too many.
//!
//! A new connection is always accepted. When the listener is at its limit, or the client at its own, the connection that
//! has waited longest for its client is closed: one that is idle, or one whose request is still arriving. A connection
//! whose request is being served is never closed for another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::client;
use crate::config::Live;

/// How many connections a listener keeps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// In total. Above it, the connection that has waited longest for its client is closed.
    pub(super) total: usize,
    /// For each client address (IPv6: /64). Above it, that client's own longest-waiting connection is closed.
    pub(super) per_client: usize,
}

impl Limits {
    /// Connections of the public listener where enough files may be open.
    const MAX_PUBLIC: usize = 1_024;
    /// Open files that are not connections of a listener: the database, outgoing connections, logs.
    const RESERVED_FILES: usize = 256;

    /// Limits of the public and of the admin listener for a process that may open so many files.
    pub(super) fn for_open_files(files: usize) -> (Self, Self) {
        let room = files.saturating_sub(Self::RESERVED_FILES).max(files / 4);
        // Two thirds: a quarter more than `total` may be open while connections are being closed.
        let public = (room * 2 / 3).clamp(16, Self::MAX_PUBLIC);
        (Self::of(public), Self::of((public / 8).max(16)))
    }

    fn of(total: usize) -> Self {
        Self { total, per_client: (total / 2).max(8) }
    }

    /// Connections that may exist while those above the limit are being closed.
    fn ceiling(self) -> usize {
        self.total + (self.total / 4).max(1)
    }

    /// Open connections from which on each answer ends its connection, so that none is kept for later.
    fn crowded(self) -> usize {
        self.total * 3 / 4
    }
}

/// Time without closing a connection for another, after which reaching a limit is news again.
const QUIET: Duration = Duration::from_secs(5 * 60);

/// Why a connection was closed by us, as metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The listener was at its limit.
    Limit,
    /// The client was at its limit.
    ClientLimit,
    /// Nothing was requested for too long.
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
    /// Connections that were told to close and are not gone yet.
    closing: usize,
    /// When a connection was last closed for another.
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
    /// Since when the connection waits for its client.
    since: Instant,
    has_requested: bool,
    /// Requests that began and did not end.
    requests: usize,
    /// Those of them that wait for nothing from the client.
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

    /// Changes an entry, and puts it where it belongs among those that wait.
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

    /// Tells the longest-waiting connection, of one client or of all, to close. False where none waits.
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

    /// Registers a new connection, and closes another where there are too many. `None` where all connections are being
    /// served and there is no room for one more.
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

    /// Closes the longest-waiting connection, where the process can open no more files.
    pub(super) fn make_room(&self) {
        let is_closed = self.table().close_longest_waiting(None);
        if is_closed {
            self.closed(Cause::Limit);
        }
    }

    /// Whether answers are to end their connections.
    pub(super) fn is_crowded(&self) -> bool {
        *self.count.borrow() >= self.limits.crowded()
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Connections that are open.
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

    /// Warns when a limit is first reached; again only after no connection had to be closed for [`QUIET`].
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

/// One open connection. It is not counted any more once this is dropped.
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
}

impl Connection {
    /// Waits until this connection is to make room for another.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Begins a request.
    pub(super) fn request(self: &Arc<Self>) -> Exchange {
        self.connections.table().change(self.id, Instant::now(), |entry| {
            entry.has_requested = true;
            entry.requests += 1;
            entry.served += 1;
        });
        Exchange(Arc::new(Open(self.clone())))
    }

    /// For how long the connection has had no request; `None` while it has one. The flag is true once it had any.
    pub(super) fn idle(&self) -> Option<(Duration, bool)> {
        let table = self.connections.table();
        let entry = table.open.get(&self.id).filter(|entry| entry.requests == 0)?;
        Some((entry.since.elapsed(), entry.has_requested))
    }

    /// Counts this connection as closed for being idle.
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

/// One request and its answer. It ends when the last copy is dropped.
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
    /// Marks the request as arriving: until the result is dropped, its connection may be closed for another.
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
    async fn the_connection_that_waits_longest_makes_room() {
        let all = connections(3, 3, "");
        let tick = || tokio::time::advance(Duration::from_millis(1));
        let mut open_next = vec![];
        for n in 1..=3 {
            open_next.push(open(&all, &format!("192.0.2.{n}")));
            tick().await;
        }
        // The first one requests something at the very moment it was opened, and is done: it waits the shortest now.
        drop(open_next[0].request());
        tick().await;
        let fourth = open(&all, "192.0.2.4");
        assert_eq!(open_next.iter().map(|one| is_closing(one)).collect::<Vec<_>>(), [false, true, false]);
        assert!(!is_closing(&fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_served_is_never_closed_and_what_arrives_slowly_is() {
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
        assert!(
            fourth.is_none(),
            "one more than the limit may exist while another is being closed, and no further one"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_above_its_limit_closes_its_own_connections_and_no_others() {
        let all = connections(100, 2, "10.0.0.0/8");
        let other = open(&all, "192.0.2.1");
        tokio::time::advance(Duration::from_secs(1)).await;
        let own: Vec<_> = (1..=3).map(|n| open(&all, &format!("2001:db8::{n}"))).collect();
        assert!(is_closing(&own[0]) && !is_closing(&own[1]) && !is_closing(&other));
        let proxied: Vec<_> = (0..10).map(|_| open(&all, "::ffff:10.1.2.3")).collect();
        assert!(!proxied.iter().any(|one| is_closing(one)), "a trusted proxy stands for many clients");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_at_the_moment_of_opening_counts_as_a_request() {
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
    fn limits_leave_room_for_other_files() {
        for (files, public, admin) in [(1_024, 512, 64), (256, 42, 16), (65_536, 1_024, 128), (0, 16, 16)] {
            let (is_public, is_admin) = Limits::for_open_files(files);
            assert_eq!((is_public.total, is_admin.total), (public, admin), "{files}");
        }
    }
}
