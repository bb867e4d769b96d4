-- Rejected requests; the last hundred.
CREATE TABLE refusals (
    n      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    source TEXT    NOT NULL,
    client TEXT,
    key    TEXT,
    reason TEXT    NOT NULL
) STRICT;

-- Queries of operators start with the newest request.
CREATE INDEX requests_received ON requests (received_at);
CREATE INDEX events_request ON events (request);

-- Hashes of bodies are deleted by age.
CREATE INDEX memory_bodies ON memory (at) WHERE subject GLOB 'body:*';

-- Expired data is found by its age.
CREATE INDEX requests_raw ON requests (received_at) WHERE body IS NOT NULL;
CREATE INDEX dedupe_received ON dedupe (received_at);
CREATE INDEX memory_at ON memory (at);
CREATE INDEX deliveries_event ON deliveries (event);
