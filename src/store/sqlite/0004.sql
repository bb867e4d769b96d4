-- When a delivery was asked for; of a replay, when that was. `due` and `backoff` were of single deliveries; a lane waits
-- as a whole now, so they are not written any more.
ALTER TABLE deliveries ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET created_at = coalesce((SELECT received_at FROM requests JOIN events ON events.request = requests.id
                                             WHERE events.id = deliveries.event), due);
-- Failures in a row that say something of the message or of its chat, not of the way there.
ALTER TABLE deliveries ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
-- Why it ended as it did, where no attempt says so.
ALTER TABLE deliveries ADD COLUMN why TEXT;
-- What a template failed with, if the message was made by the next one.
ALTER TABLE deliveries ADD COLUMN template_error TEXT;
-- The delivery that this one repeats.
ALTER TABLE deliveries ADD COLUMN replay_of TEXT;

ALTER TABLE attempts ADD COLUMN status INTEGER;
ALTER TABLE attempts ADD COLUMN node TEXT;

-- A lane that is not open says why; one that waits, until when, and how long it was to wait, whatever the clock says.
ALTER TABLE lanes ADD COLUMN state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'paused'));
ALTER TABLE lanes ADD COLUMN reason TEXT;
ALTER TABLE lanes ADD COLUMN remedy TEXT;
ALTER TABLE lanes ADD COLUMN since INTEGER;
ALTER TABLE lanes ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN pause INTEGER NOT NULL DEFAULT 0;
-- The delivery that is about to be sent, where the lane has failed: it need not be the oldest.
ALTER TABLE lanes ADD COLUMN marked TEXT;

-- So that which channels have unfinished messages, in which lanes, is told without reading them all.
DROP INDEX deliveries_unfinished;
CREATE INDEX deliveries_unfinished ON deliveries (channel, lane, state) WHERE state IN ('waiting', 'parked');
CREATE INDEX deliveries_ended ON deliveries (channel, state) WHERE state IN ('dead', 'suspect', 'skipped');
CREATE INDEX deliveries_replays ON deliveries (replay_of) WHERE replay_of IS NOT NULL;
