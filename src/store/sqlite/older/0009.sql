-- Final names before the first release: `queued` and `pending_routing` instead of `waiting` and `undecided`,
-- `duration_ms`, `response`, `help`, `reason`. The unused columns of 0001 are dropped.
ALTER TABLE attempts RENAME COLUMN took TO duration_ms;
ALTER TABLE attempts RENAME COLUMN said TO response;
ALTER TABLE lanes RENAME COLUMN remedy TO help;
ALTER TABLE refusals RENAME TO rejected;

CREATE TABLE deliveries_renamed (
    seq            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    event          TEXT    NOT NULL,
    lane           TEXT    NOT NULL,
    channel        TEXT    NOT NULL,
    route          TEXT    NOT NULL,
    template       TEXT,
    style          TEXT,
    state          TEXT    NOT NULL CHECK (state IN
        ('queued', 'delivered', 'accepted', 'skipped', 'dead', 'suspect', 'parked', 'pending_routing')),
    created_at     INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    strikes        INTEGER NOT NULL DEFAULT 0,
    reason         TEXT,
    template_error TEXT,
    replay_of      TEXT,
    more           INTEGER NOT NULL DEFAULT 0,
    message_id     TEXT,
    body           BLOB
) STRICT;

INSERT INTO deliveries_renamed
    SELECT seq, id, event, lane, channel, route, template, style,
        CASE state WHEN 'waiting' THEN 'queued' WHEN 'undecided' THEN 'pending_routing' ELSE state END,
        created_at, attempts, strikes, why, template_error, replay_of, more, message_id, body
    FROM deliveries;

-- New numbers are above the last one ever used, even if that delivery no longer exists.
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'deliveries')
    WHERE name = 'deliveries_renamed' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'deliveries');
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'deliveries_renamed', seq FROM sqlite_sequence
    WHERE name = 'deliveries' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'deliveries_renamed');

DROP TABLE deliveries;
ALTER TABLE deliveries_renamed RENAME TO deliveries;

CREATE INDEX deliveries_queued ON deliveries (lane, seq) WHERE state = 'queued';
CREATE INDEX deliveries_unfinished ON deliveries (channel, lane, state) WHERE state IN ('queued', 'parked');
CREATE INDEX deliveries_ended ON deliveries (channel, state) WHERE state IN ('dead', 'suspect', 'skipped');
CREATE INDEX deliveries_replays ON deliveries (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX deliveries_pending ON deliveries (state) WHERE state = 'pending_routing';
CREATE INDEX deliveries_event ON deliveries (event);

-- Keys of stored JSON. Quotes within a string are escaped with a backslash, so only keys match.
UPDATE events SET decision = replace(replace(replace(replace(decision, '"silent":', '"suppressed":'),
    '"sends":', '"targets":'), '"why":', '"reason":'), '"undecided":', '"pending_routing":');
UPDATE requests SET receipt = replace(replace(replace(replace(receipt, '"silent":', '"suppressed":'),
    '"near":', '"near_misses":'), '"why":', '"reason":'), '"undecided":', '"pending_routing":');
