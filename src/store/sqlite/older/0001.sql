-- Times are milliseconds since 1970. Bodies are LZ4 blocks, preceded by their size.

CREATE TABLE requests (
    id          TEXT    NOT NULL PRIMARY KEY,
    source      TEXT    NOT NULL,
    hook        TEXT,
    received_at INTEGER NOT NULL,
    headers     TEXT    NOT NULL,
    body        BLOB,
    receipt     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids of requests on the host, to recognize a request that the host sends again.
CREATE TABLE dedupe (
    source      TEXT    NOT NULL,
    hook        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (source, hook, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id         TEXT    NOT NULL PRIMARY KEY,
    request    TEXT    NOT NULL,
    n          INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    repository TEXT,
    subject    TEXT,
    schema     INTEGER NOT NULL,
    json       TEXT    NOT NULL,
    decision   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- `seq` is the order of delivery within a lane; the order of ids has no meaning.
CREATE TABLE deliveries (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    event      TEXT    NOT NULL,
    lane       TEXT    NOT NULL,
    channel    TEXT    NOT NULL,
    route      TEXT    NOT NULL,
    template   TEXT,
    state      TEXT    NOT NULL CHECK (state IN
        ('waiting', 'delivered', 'accepted', 'skipped', 'dead', 'suspect', 'parked', 'undecided')),
    due        INTEGER NOT NULL,
    backoff    INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    message_id TEXT,
    body       BLOB
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (lane, seq) WHERE state = 'waiting';
CREATE INDEX deliveries_unfinished ON deliveries (channel) WHERE state IN ('waiting', 'parked');

CREATE TABLE attempts (
    delivery TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    took     INTEGER NOT NULL,
    outcome  TEXT    NOT NULL,
    said     TEXT,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

-- Owners of lanes.
CREATE TABLE lanes (
    lane        TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Last known states of subjects.
CREATE TABLE memory (
    subject TEXT    NOT NULL PRIMARY KEY,
    state   TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
