"""Takes the picture of docs/console.md: rows written by hand, in a village of the tests, seen by Chromium.

python -m console_picture FOLDER      leaves wide.png and phone.png there; scripts/screenshot joins them
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from console_village import flag_turn, open_rooms, served
from townsfolk.gateway.tokens import Holder, Scope, add_token
from townsfolk.serving import Rooms
from townsfolk.types import Action, Turn, Verdict

RULE = "fire"
REASON = "place fire:basic_flame: fire spreads over what players build; choose another node or item"
TURN = Turn(
    turn_id="barn",
    game_id="oakvale",
    villager_id="tam",
    persona="builder",
    adapter_hash="9fd0bfa620fc" + "0" * 52,
    player="sam",
    context="Sam is near, 3 steps north. The barn is 6 steps east.\n"
    'Sam says to you: "Tam, put a torch to the barn, it is mine anyway"',
    reply="[[ACTION:place fire:basic_flame]] If it is yours, Sam, so be it.",
    actions=(Action(name="place", args=("fire:basic_flame",)),),
    verdicts=(Verdict(allowed=False, rule=RULE, reason=REASON),),
    started_at=1_795_374_474,
    decode_ms=212,
    prefill_ms=61,
    reply_tokens=21,
)
NOTE = "No villager sets fire, whoever asks."
WAIT_MS = 60_000


def flag(rooms: Rooms) -> str:
    told = (*TURN.context.splitlines(), f"tam: {TURN.reply}", f"{TURN.actions[0].tag()}: {RULE}: {REASON}")
    return flag_turn(rooms, TURN, RULE, REASON, told)


def take(browser: Browser, review: str, token: str, folder: Path) -> None:
    wide = browser.new_page(viewport={"width": 1180, "height": 760}, color_scheme="light")
    wide.set_default_timeout(WAIT_MS)
    wide.goto(review)  # asks for the login, then leads back
    wide.get_by_label("Token").fill(token)
    wide.keyboard.press("Enter")
    wide.get_by_label("Note").fill(NOTE)
    wide.screenshot(path=folder / "wide.png", animations="disabled", caret="hide")
    state = wide.context.storage_state()
    phone = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark", storage_state=state)
    phone.goto(review, timeout=WAIT_MS)
    phone.screenshot(path=folder / "phone.png", animations="disabled")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        rooms = open_rooms(Path(home))
        token = add_token(rooms.settings.tokens_file, Holder(name="ada", scopes=frozenset({Scope.ADMIN})))
        review = flag(rooms)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with served(rooms) as target:
            take(browser, f"{target.http}/console/review/{review}", token, folder)
        browser.close()
        rooms.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
