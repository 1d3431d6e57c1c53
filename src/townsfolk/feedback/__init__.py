"""WHAT HAPPENED: turns, actions, ratings, demonstrations, memories, kept so that none is lost.

A write goes `store` -> `intake` (one fsync for all who wait) -> `spool` (segment files) -> `applier`
-> `database`. It is acknowledged as soon as the spool has it; the database may be away for days.
Refuses to know who asks, what a reply means and whether an action was wise.
"""
