"""The run that was accepted last, and what has changed since: from a file that a team keeps."""
