"""What can be done to accounts: one verb each, in one transaction with the event that tells of it."""
