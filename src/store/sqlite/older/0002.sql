-- Style of the message, set by the route; the channel's style if null.
ALTER TABLE deliveries ADD COLUMN style TEXT;
