"""What console pages read from the database. Nothing here decides or writes."""
