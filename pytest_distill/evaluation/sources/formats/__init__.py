"""The files that other tools wrote of a model's answers: one module a tool."""
