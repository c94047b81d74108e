"""Runs outside the database: files to keep, to calculate with, to show without a server, and to read back.

Knows events and copies of runs; no page, no query, no folder: text or bytes go out, text comes in.
"""
