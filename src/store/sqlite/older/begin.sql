-- The tables of version 9 keep their rows under other names until all are moved.
DROP INDEX requests_raw;
DROP INDEX dedupe_received;
DROP INDEX memory_at;
DROP INDEX memory_bodies;
DROP INDEX deliveries_queued;
DROP INDEX deliveries_unfinished;
DROP INDEX deliveries_ended;
DROP INDEX deliveries_replays;
DROP INDEX deliveries_pending;
DROP INDEX deliveries_event;
DROP INDEX delivery_events_event;

ALTER TABLE requests RENAME TO old_requests;
ALTER TABLE dedupe RENAME TO old_dedupe;
ALTER TABLE events RENAME TO old_events;
ALTER TABLE deliveries RENAME TO old_deliveries;
ALTER TABLE delivery_events RENAME TO old_delivery_events;
ALTER TABLE attempts RENAME TO old_attempts;
ALTER TABLE lanes RENAME TO old_lanes;
ALTER TABLE memory RENAME TO old_memory;
ALTER TABLE configs RENAME TO old_configs;
ALTER TABLE rejected RENAME TO old_rejected;

CREATE INDEX old_dedupe_request ON old_dedupe (request);

-- What is moved: the part that is being moved, and the last row of it that was moved.
CREATE TABLE moved (
    part INTEGER NOT NULL,
    time INTEGER NOT NULL,
    key  TEXT    NOT NULL
) STRICT;

INSERT INTO moved VALUES (0, -9223372036854775808, '');
