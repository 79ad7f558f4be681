"""The tasks of lm-evaluation-harness: its documents, prompts, filters and scores; our engines."""
