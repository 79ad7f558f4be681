"""What is there for speed alone.

Each way is checked against the plain one, and given up where a model does another thing in it.
"""
