-- Tables of the current version.
--
-- Ids are numbers that grow with time (store/ids.rs), so new rows of `requests`, `bodies`, `events`, `deliveries` and
-- `attempts` are appended, and ranges of ids are ranges of time. Only `memory` and the two indexes of `requests` are
-- written at random places. `events` and `deliveries` are narrow: lists scan them, instead of further indexes.
-- Times are milliseconds since 1970. BLOBs are LZ4 blocks, preceded by their size, if nothing else is said.

-- Names of sources, channels, routes, templates, repositories, kinds of events, outcomes and nodes.
CREATE TABLE names (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

-- One row per request of a host, or alert. `record` has its headers, its receipt, and its events with their decisions,
-- as JSON (record.rs).
CREATE TABLE requests (
    id          INTEGER NOT NULL PRIMARY KEY,
    received_at INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    hook        TEXT,
    key         TEXT,     -- the host's id of the request
    key_hash    INTEGER,
    digest      BLOB,     -- of the body, if later requests with the same body are compared with this one; plain
    record      BLOB    NOT NULL
) STRICT;

-- Finds a request that the host sends again, and a body that comes again.
CREATE INDEX requests_key ON requests (key_hash) WHERE key_hash IS NOT NULL;
CREATE INDEX requests_digest ON requests (digest) WHERE digest IS NOT NULL;

-- Raw bodies, by request. They are deleted before the rest.
CREATE TABLE bodies (
    id   INTEGER NOT NULL PRIMARY KEY,
    body BLOB    NOT NULL
) STRICT;

-- Further events of a request whose record would be too large, by the first event of each record.
CREATE TABLE more_events (
    id     INTEGER NOT NULL PRIMARY KEY,
    record BLOB    NOT NULL
) STRICT;

-- The ids of a request's events follow from the id of the request, and are below that of the next request.
CREATE TABLE events (
    id         INTEGER NOT NULL PRIMARY KEY,
    request    INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    repository INTEGER,
    subject    TEXT
) STRICT;

-- Channels, by the id of their name, with the lane of each. A channel that the configuration does not have has no lane:
-- its messages are parked.
CREATE TABLE channels (
    id   INTEGER NOT NULL PRIMARY KEY,
    lane TEXT
) STRICT;

-- The order of ids is the order in which a lane sends. Codes of `state`: state.rs. The chat's reference to the message
-- is in the last attempt.
CREATE TABLE deliveries (
    id             INTEGER NOT NULL PRIMARY KEY,
    event          INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    strikes        INTEGER NOT NULL DEFAULT 0,  -- consecutive failures that are caused by the message or the chat
    channel        INTEGER NOT NULL,
    route          INTEGER NOT NULL,
    template       INTEGER,                     -- set by the route
    style          INTEGER,                     -- set by the route
    created_at     INTEGER NOT NULL,
    is_added       INTEGER NOT NULL DEFAULT 0,  -- 1 if it was not created together with its event
    replay_of      INTEGER,
    more           INTEGER NOT NULL DEFAULT 0,  -- number of further events in the message
    reason         TEXT,                        -- of the state, if no attempt contains it
    template_error TEXT
) STRICT;

-- The queue. 2 is the code of `queued`.
CREATE INDEX deliveries_queued ON deliveries (channel) WHERE state = 2;
-- Codes of `skipped`, `dead` and `suspect`. `IN` would make SQLite fill a table in memory for each new row.
CREATE INDEX deliveries_failed ON deliveries (channel, state) WHERE state = 5 OR state = 6 OR state = 7;
-- Code of `pending_routing`.
CREATE INDEX deliveries_pending ON deliveries (state) WHERE state = 8;
CREATE INDEX deliveries_added ON deliveries (event) WHERE is_added = 1;
CREATE INDEX deliveries_replays ON deliveries (replay_of) WHERE replay_of IS NOT NULL;

-- Further events in a message, in order.
CREATE TABLE delivery_events (
    delivery INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_events_event ON delivery_events (event);

CREATE TABLE attempts (
    delivery    INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,
    status      INTEGER,
    response    TEXT,
    node        INTEGER,
    message_id  TEXT,
    body        BLOB,    -- that was sent
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

-- Owners and states of lanes.
CREATE TABLE lanes (
    lane        TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    lease_until INTEGER NOT NULL,
    state       TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'paused')),
    reason      TEXT,                        -- why it is not open
    help        TEXT,
    since       INTEGER,
    next_at     INTEGER NOT NULL DEFAULT 0,  -- end of its wait
    pause       INTEGER NOT NULL DEFAULT 0,  -- length of its wait, so that a changed clock does not extend it
    is_asked    INTEGER NOT NULL DEFAULT 0,  -- 1 if the chat requested the wait
    marked      INTEGER                      -- delivery that is about to be sent, if the lane has failed
) STRICT, WITHOUT ROWID;

-- Last known states of subjects, by a hash of the subject. Of two subjects with the same hash, the last one stays.
CREATE TABLE memory (
    hash    INTEGER NOT NULL PRIMARY KEY,
    subject TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

-- Rules used by decisions, without secrets.
CREATE TABLE configs (
    hash TEXT    NOT NULL PRIMARY KEY,
    text TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rejected requests; the last hundred.
CREATE TABLE rejected (
    n      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    source TEXT    NOT NULL,
    client TEXT,
    key    TEXT,
    reason TEXT    NOT NULL
) STRICT;

-- Ids from before version 10: prefix (`req_`, `evt_`, `dlv_`) and number of today, and the text of that time.
CREATE TABLE former_ids (
    prefix TEXT    NOT NULL,
    id     INTEGER NOT NULL,
    former TEXT    NOT NULL UNIQUE,
    PRIMARY KEY (prefix, id)
) STRICT, WITHOUT ROWID;

-- One row: the highest id of what was deleted. New ids are above it.
CREATE TABLE deleted (
    highest INTEGER NOT NULL
) STRICT;

INSERT INTO deleted VALUES (0);
