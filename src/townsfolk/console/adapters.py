"""Adapters of the personas: what serves, what is on trial, what can be promoted or taken back."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from townsfolk.console.desk import AtDesk
from townsfolk.console.render import page, short
from townsfolk.console.security import Changer, Viewer
from townsfolk.types import ContentHash, PersonaName, Text

CHANGES_SHOWN = 40
router = APIRouter()


@router.get("/adapters")
async def all_personas(request: Request, desk: AtDesk, session: Viewer) -> Response:
    return page(
        request,
        "adapters",
        session,
        personas=await desk.adapters(),
        faults=await desk.adapter_faults(),
        history=await desk.adapter_history(CHANGES_SHOWN),
    )


@router.post("/adapters/{persona}/promote")
async def promote(
    request: Request,
    desk: AtDesk,
    session: Changer,
    persona: PersonaName,
    version: Annotated[ContentHash, Form()],
) -> Response:
    standing = await desk.promote(persona, version)
    how = f"on trial with {standing.share:.0%} of the villagers" if standing.trial else "live"
    session.notice = f"{persona}: version {short(version)} is {how}."
    return _back(request)


@router.post("/adapters/{persona}/rollback")
async def rollback(
    request: Request,
    desk: AtDesk,
    session: Changer,
    persona: PersonaName,
    reason: Annotated[Text, Form()] = "",
) -> Response:
    standing = await desk.rollback(persona, f"{session.who}: {reason or 'asked for in the console'}")
    session.notice = (
        f"{persona}: {short(standing.live) if standing.live else 'what is shipped'} serves again."
    )
    return _back(request)


def _back(request: Request) -> Response:
    return RedirectResponse(f"{request.scope['root_path']}/adapters", HTTPStatus.SEE_OTHER)
