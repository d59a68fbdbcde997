"""Measurements of vmatte: one command each, see README.md here."""
