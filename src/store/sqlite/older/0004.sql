-- Creation time of a delivery; for a replay, the time of the replay. `due` and `backoff` belonged to single
-- deliveries; now a lane waits as a whole, so they are no longer written.
ALTER TABLE deliveries ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET created_at = coalesce((SELECT received_at FROM requests JOIN events ON events.request = requests.id
                                             WHERE events.id = deliveries.event), due);
-- Consecutive failures that are caused by the message or the chat, not by the network.
ALTER TABLE deliveries ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
-- Reason for the final state, if no attempt contains it.
ALTER TABLE deliveries ADD COLUMN why TEXT;
-- Error of a template, if the next template rendered the message.
ALTER TABLE deliveries ADD COLUMN template_error TEXT;
-- Delivery that this one sends again.
ALTER TABLE deliveries ADD COLUMN replay_of TEXT;

ALTER TABLE attempts ADD COLUMN status INTEGER;
ALTER TABLE attempts ADD COLUMN node TEXT;

-- Reason why a lane is not open; end and length of a lane's wait, so that a changed clock does not extend it.
ALTER TABLE lanes ADD COLUMN state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'paused'));
ALTER TABLE lanes ADD COLUMN reason TEXT;
ALTER TABLE lanes ADD COLUMN remedy TEXT;
ALTER TABLE lanes ADD COLUMN since INTEGER;
ALTER TABLE lanes ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN pause INTEGER NOT NULL DEFAULT 0;
-- Delivery that is about to be sent, if the lane has failed: it may not be the oldest.
ALTER TABLE lanes ADD COLUMN marked TEXT;

-- Finds the channels and lanes with unfinished messages without reading all messages.
DROP INDEX deliveries_unfinished;
CREATE INDEX deliveries_unfinished ON deliveries (channel, lane, state) WHERE state IN ('waiting', 'parked');
CREATE INDEX deliveries_ended ON deliveries (channel, state) WHERE state IN ('dead', 'suspect', 'skipped');
CREATE INDEX deliveries_replays ON deliveries (replay_of) WHERE replay_of IS NOT NULL;
