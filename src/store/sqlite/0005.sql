-- The rules that decisions were made by, without secrets, so that these can be explained when the config has changed.
CREATE TABLE configs (
    hash TEXT    NOT NULL PRIMARY KEY,
    text TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that came while the rules were broken, each as a delivery to nobody yet.
CREATE INDEX deliveries_undecided ON deliveries (state) WHERE state = 'undecided';
