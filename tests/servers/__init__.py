"""Servers on loopback for the tests of `engine: openai`."""
