"""What answers without running a model: recorded, reported, exported and captured predictions."""
