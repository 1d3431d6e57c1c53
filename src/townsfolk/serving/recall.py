"""The store's rows of the last day -> the limits of the policy, so that a restart gives nobody a new day."""

import logging
import time

from townsfolk.errors import StoreError
from townsfolk.feedback.store import Store
from townsfolk.policy.check import Policy
from townsfolk.policy.limits import DAY

log = logging.getLogger(__name__)


def recall(policy: Policy, store: Store) -> None:
    """Count what villagers were allowed before this start.

    Rows bear the time of day, limits go by a clock that is never set back: what seems to lie ahead, as the
    time was set back, counts as done just now; what seems to lie more than a day ahead tells nothing.
    """
    now, clock = time.time(), time.monotonic()
    try:
        lately = store.done_between(now - DAY, now + DAY)
    except StoreError as error:
        log.warning("limits begin anew, as what was done before is not known: %s", error)
        return
    for did in lately:
        villager = f"{did.game_id}/{did.villager_id}"
        at = clock - max(0, now - did.at)
        policy.recall(did.persona, did.action, villager, did.areas, at, did.times)
