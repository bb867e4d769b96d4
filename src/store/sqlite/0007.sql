-- Whether the chat itself asked for a lane's wait; only then does a restart wait for the rest of it.
ALTER TABLE lanes ADD COLUMN is_asked INTEGER NOT NULL DEFAULT 0;
