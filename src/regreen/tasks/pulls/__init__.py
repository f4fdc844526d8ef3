"""Pull requests with what was said about them: read from dumps, fetched, laid on a history."""
