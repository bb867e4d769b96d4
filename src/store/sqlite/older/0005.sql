-- Rules used by decisions, without secrets, so that decisions can be explained after the configuration has changed.
CREATE TABLE configs (
    hash TEXT    NOT NULL PRIMARY KEY,
    text TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events stored while the routing configuration was invalid, each as a delivery without a channel.
CREATE INDEX deliveries_undecided ON deliveries (state) WHERE state = 'undecided';
