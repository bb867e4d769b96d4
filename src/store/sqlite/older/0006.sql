-- Events of one request share their actor and repository: the first event stores them, the others refer to it.
ALTER TABLE events ADD COLUMN same TEXT;
