-- Set if the chat requested a lane's wait; only then is the rest of it kept after a restart.
ALTER TABLE lanes ADD COLUMN is_asked INTEGER NOT NULL DEFAULT 0;
