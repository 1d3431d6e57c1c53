"""MAY IT?: whether a villager may do what its model proposed.

Refuses to know how an action was decoded, how it is carried out and where verdicts are kept. The game
checks again, with what only it knows: protection, reach, the target still there.
"""
