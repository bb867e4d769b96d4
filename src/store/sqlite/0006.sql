-- The events of one request share their actor and repository; all but the first name the first, which holds them.
ALTER TABLE events ADD COLUMN same TEXT;
