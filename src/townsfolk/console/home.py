"""The first page: what needs a look."""

from fastapi import APIRouter, Request, Response

from townsfolk.console.desk import AtDesk, Desk
from townsfolk.console.render import page
from townsfolk.console.security import Viewer
from townsfolk.errors import StoreError

CHANGES_SHOWN = 6
router = APIRouter()


@router.get("/")
async def overview(request: Request, desk: AtDesk, session: Viewer) -> Response:
    villagers, personas = desk.villagers(), await desk.adapters()
    ready, reason = desk.readiness()
    return page(
        request,
        "overview",
        session,
        waiting=await _waiting(desk),
        villagers=villagers,
        frozen=sum(it.activity == "frozen" for it in villagers),
        personas=personas,
        tuned=sum(bool(it.serves or it.standing.trial) for it in personas),
        trials=sum(bool(it.standing.trial) for it in personas),
        faults=await desk.adapter_faults(),
        history=await desk.adapter_history(CHANGES_SHOWN),
        ready=ready,
        reason=reason,
    )


async def _waiting(desk: Desk) -> int | None:
    """Flags to be reviewed; None while the database is away, when an operator needs this page most."""
    try:
        return (await desk.flag_counts())["open"]
    except StoreError:
        return None
