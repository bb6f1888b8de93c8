"""Mutation testing: one small change at a time, and the unit tests that should see it."""
