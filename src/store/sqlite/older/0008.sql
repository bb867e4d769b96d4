-- Further events in a delivery's message, in order; `more` is their number.
ALTER TABLE deliveries ADD COLUMN more INTEGER NOT NULL DEFAULT 0;

CREATE TABLE delivery_events (
    delivery TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_events_event ON delivery_events (event);
