"""What a comparison means: gates and their verdicts, a module a family."""
