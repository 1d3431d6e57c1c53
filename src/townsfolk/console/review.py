"""The queue of flagged turns: what was said and done, and an operator's word on it."""

import math
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from townsfolk.console.desk import AtDesk, Desk
from townsfolk.console.render import page
from townsfolk.console.security import Changer, Viewer
from townsfolk.errors import UnknownName
from townsfolk.types import FlagDecision, FlagState, Text, Turn
from townsfolk.types.review import FlagId

SHOWN = 50
router = APIRouter()


@router.get("/review")
async def queue(
    request: Request,
    desk: AtDesk,
    session: Viewer,
    state: FlagState = "open",
    before: Annotated[float, Query(ge=0)] = math.inf,
) -> Response:
    flags, counts = await desk.flags(state, before, SHOWN), await desk.flag_counts()
    more = flags[-1].at if len(flags) >= SHOWN else None
    return page(request, "review", session, state=state, flags=flags, counts=counts, more=more)


@router.get("/review/{flag_id}")
async def one(request: Request, desk: AtDesk, session: Viewer, flag_id: FlagId) -> Response:
    flag = await desk.flag(flag_id)
    return page(request, "flag", session, flag=flag, turn=await _turn(desk, flag.turn_id))


@router.post("/review/{flag_id}")
async def decide(
    request: Request,
    desk: AtDesk,
    session: Changer,
    flag_id: FlagId,
    state: Annotated[FlagState, Form()],
    note: Annotated[Text, Form()] = "",
) -> Response:
    """Keep the decision and go on with the next open flag."""
    await desk.decide(FlagDecision(id=flag_id, state=state, who=session.who, note=note.strip()))
    waiting = await desk.flags("open", math.inf, 2)
    then = next((it.id for it in waiting if it.id != flag_id), "")
    told = "Taken back: it is open for review again." if state == "open" else f"The turn is {state}."
    session.notice = told if then else f"{told} Nothing else waits."
    path = f"{request.scope['root_path']}/review"
    return RedirectResponse(f"{path}/{then}" if then else path, HTTPStatus.SEE_OTHER)


async def _turn(desk: Desk, turn_id: str) -> Turn | None:
    """The turn, unless it was forgotten: the flag's evidence is still there."""
    try:
        return await desk.turn(turn_id) if turn_id else None
    except UnknownName:
        return None
