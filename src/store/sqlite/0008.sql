-- The further events that a delivery's message is about, in their order; `more` is how many.
ALTER TABLE deliveries ADD COLUMN more INTEGER NOT NULL DEFAULT 0;

CREATE TABLE delivery_events (
    delivery TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_events_event ON delivery_events (event);
