"""What serves every part: files, numbers and units, what a user's code raises, the hub."""
