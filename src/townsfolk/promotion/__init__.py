"""9 WHO IS LIVE: versions of adapters, the gate before them, the trial after.

registry    versions on disk, which is live, what was decided and why
gate        evaluations of a candidate and of the one that serves -> a verdict
trial       the first turns of a new version -> go on, confirm or roll back
nightly     steps whose results are folders, so that a run goes on where it was cut off

Refuses to know how an adapter is trained, loaded or evaluated.
"""
