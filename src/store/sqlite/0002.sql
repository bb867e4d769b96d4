-- How much of the message its route wants; where it says nothing, the channel does.
ALTER TABLE deliveries ADD COLUMN style TEXT;
