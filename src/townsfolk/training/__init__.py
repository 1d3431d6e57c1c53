"""8 LEARN: from what happened to a better villager.

data        what was authored, played and rated -> a dataset
stages      a dataset -> an adapter
evaluation  an adapter, as it is served -> figures
"""
