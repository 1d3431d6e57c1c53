"""Replies of a served adapter -> figures, bars and pages."""
