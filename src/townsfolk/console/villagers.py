"""Villagers of the connected games: who they are now, and what they said lately."""

from fastapi import APIRouter, Request, Response

from townsfolk.console.desk import AtDesk, LiveVillager
from townsfolk.console.render import page
from townsfolk.console.security import Viewer
from townsfolk.errors import UnknownName
from townsfolk.types import Id

router = APIRouter()


@router.get("/villagers")
async def everybody(request: Request, desk: AtDesk, session: Viewer) -> Response:
    games: dict[str, list[LiveVillager]] = {}
    for villager in desk.villagers():
        games.setdefault(villager.game_id, []).append(villager)
    return page(request, "villagers", session, games=games)


@router.get("/villagers/{game_id}/{villager_id}")
async def one(request: Request, desk: AtDesk, session: Viewer, game_id: Id, villager_id: Id) -> Response:
    live = next(
        (it for it in desk.villagers() if (it.game_id, it.villager_id) == (game_id, villager_id)), None
    )
    past = await desk.past(game_id, villager_id)
    if live is None and not past.turns:
        raise UnknownName(
            f"villager {villager_id!r} of game {game_id!r} is not known: see the list of villagers"
        )
    return page(request, "villager", session, live=live, past=past, game_id=game_id, villager_id=villager_id)
