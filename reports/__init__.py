"""Tables and pages from metrics files: published numbers beside measured ones, and verdicts."""
