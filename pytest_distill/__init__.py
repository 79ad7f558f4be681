"""pytest-distill: decide in a test file whether a distilled model may ship."""
