"""Proof that the loop closes: a player rates by a taste, a night passes, villagers are more to it.

    scripts/prove-loop [--persona explorer] [--turns 400] [--fresh 100] [--folder run/prove-loop]

Three villages, each with a home of its own, one after the other: the player's thumbs are honest but for a
tenth; inverted; and twenty of them are drawn by lot. Every stage leaves a file, so that a run that was cut
off goes on; the last one is `proof.json`. About an hour on two cores: not for CI.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulated_player import Heard, SimulatedPlayer, asking_the_way, met, short_with_direction, thumbs
from villages import once, post, served, settings_in, write_settings

from townsfolk.config import Settings, load_settings
from townsfolk.promotion.nightly import REPORT
from townsfolk.training.data import read_actions
from townsfolk.training.data.rows import HELD_OUT, TRAIN, read_rows
from townsfolk.types import Observation

WRONG = 0.1
GAIN = 0.25
"""Of fresh contexts, on how many more the preference must be met."""
TURNED = 0.05
"""On how many fewer where thumbs are inverted, at least; as many differ by chance."""


@dataclass(frozen=True)
class Village:
    """A service with a home of its own.

    Attributes:
        rates: thumbs for what was heard.
    """

    name: str
    home: Path
    persona: str
    rates: Callable[[Sequence[Heard]], list[int]]

    def settings(self, model: Path) -> Settings:
        """Everything it keeps is in `home`; no trial, so that what the gate passes is live at once."""
        return settings_in(
            self.home,
            model,
            promotion={"registry_dir": self.home / "registry", "trial_turns": 0},
            nightly={"home": self.home / "nights"},
            adapters_dirs=(self.home / "nights",),
        )

    def candidate(self) -> Path | None:
        """What the night has learnt, whether the gate let it live or not; None: nothing."""
        return next((self.home / "nights" / self.persona).glob("*/learn/run/adapter"), None)


@dataclass(frozen=True)
class Proof:
    """All villages, and the scenes they are tried on.

    Attributes:
        known: scenes to play and rate; fresh: to measure on, which no dataset trains on.
    """

    folder: Path
    model: Path
    data: Path
    persona: str
    known: Sequence[Observation]
    fresh: Sequence[Observation]

    def run(self) -> dict[str, Any]:
        """Gives the whole proof; writes it to `proof.json`."""
        honest = self._village("honest", lambda heard: thumbs(heard, short_with_direction, WRONG, 1))
        turned = self._village(
            "inverted", lambda heard: [-value for value in thumbs(heard, short_with_direction, WRONG, 1)]
        )
        by_lot = self._village("random", lambda heard: thumbs(heard, lambda _: True, 0.5, 2))
        found = {
            "honest": self._learn(honest, self.known),
            "inverted": self._learn(turned, self.known),
            "random": self._learn(by_lot, self.known[:20]),
        }
        proof = {"proven": proven(found), "gain": GAIN, "wrong_thumbs": WRONG, **found}
        (self.folder / "proof.json").write_text(json.dumps(proof, indent=1), encoding="utf-8")
        return proof

    def _village(self, name: str, rates: Callable[[Sequence[Heard]], list[int]]) -> Village:
        return Village(name, self.folder / name, self.persona, rates)

    def _learn(self, village: Village, scenes: Sequence[Observation]) -> dict[str, Any]:
        """Play, rate, sleep over it, and measure: each once."""
        village.home.mkdir(parents=True, exist_ok=True)
        before = once(village.home / "before.json", lambda: self._measured(village))
        once(village.home / "rated.json", lambda: self._rated(village, scenes))
        night = once(village.home / "night.json", lambda: self._night(village))
        after = once(village.home / "after.json", lambda: self._measured(village))
        told = {"before": before["met"], "after": after["met"], **night}
        if candidate := village.candidate():
            learnt = once(village.home / "learnt.json", lambda: self._measured(village, candidate))
            told["learnt"] = learnt["met"]
        return told

    # --- stages ---------------------------------------------------------------------------------

    def _measured(self, village: Village, adapter: Path | None = None) -> dict[str, Any]:
        """By what is live there, or by `adapter` in its place."""
        with self._player(village, "fresh", adapter) as player:
            heard = list(player.play(self.fresh))
        return {"met": met(heard, short_with_direction), "replies": [it.speech for it in heard]}

    def _rated(self, village: Village, scenes: Sequence[Observation]) -> dict[str, Any]:
        """Cut off, it is played again from the start, with the ratings so far kept: more, not other ones."""
        with self._player(village, "played") as player:
            heard = list(player.play(scenes))
            given = village.rates(heard)
            for it, value in zip(heard, given, strict=True):
                player.rate(it, value)
        return {"turns": len(heard), "up": given.count(1), "met": met(heard, short_with_direction)}

    def _night(self, village: Village) -> dict[str, Any]:
        config = self._config(village)
        words = ("nightly", "--persona", self.persona, "--config", str(config))
        subprocess.run([sys.executable, "-m", "townsfolk.cli", *words], check=True)
        (report,) = (village.home / "nights" / self.persona).glob(f"*/{REPORT}")
        night = json.loads(report.read_text(encoding="utf-8"))
        steps = night["steps"]
        return {"outcome": night["outcome"], "examine": steps.get("examine"), "gate": steps.get("gate")}

    @contextmanager
    def _player(
        self, village: Village, game_id: str, adapter: Path | None = None
    ) -> Iterator[SimulatedPlayer]:
        config = self._config(village)
        with served(config, load_settings(config).http.port) as http:
            if adapter:
                post(http, "/v1/adapters", {"name": self.persona, "path": str(adapter.resolve())})
            yield SimulatedPlayer(http, game_id, read_actions(self.data / "names"))

    def _config(self, village: Village) -> Path:
        return write_settings(village.settings(self.model), village.home / "settings.yaml")


def proven(found: dict[str, dict[str, Any]]) -> bool:
    """More to the player's taste by `GAIN`, the other way where thumbs are inverted, and not by lot.

    That tags, actions and KL are no worse is what the gate has promoted for. Where it refuses what inverted
    thumbs teach, that is measured all the same.
    """
    honest, turned, by_lot = found["honest"], found["inverted"], found["random"]
    return bool(
        honest["outcome"] == "promoted"
        and honest["after"] >= honest["before"] + GAIN
        and turned.get("learnt", 1.0) <= turned["before"] - TURNED
        and honest["after"] >= turned["after"] + GAIN
        and by_lot["outcome"] != "promoted"
    )


def scenes(dataset: Path, file: str, persona: str, count: int) -> list[Observation]:
    """Scenes of the dataset, whoever's, in which `persona` is asked for the way; drawn by lot."""
    all_scenes = [row.observation for row in read_rows(dataset / file) if row.observation]
    random.Random(0).shuffle(all_scenes)
    asked = [scene.model_copy(update={"persona": persona}) for scene in asking_the_way(all_scenes)]
    if len(asked) < count:
        raise SystemExit(f"{count} scenes are asked for and {dataset / file} has {len(asked)}: ask for fewer")
    return asked[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--persona", default="explorer")
    parser.add_argument("--turns", type=int, default=400, help="played and rated")
    parser.add_argument("--fresh", type=int, default=100, help="contexts to measure on")
    parser.add_argument("--folder", type=Path, default=Path("run/prove-loop"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    told = parser.parse_args()
    dataset = told.folder / "dataset"
    if not dataset.exists():
        words = ["data", "build", str(dataset), "--data", str(told.data), "--variants", "1"]
        subprocess.run([sys.executable, "-m", "townsfolk.cli", *words], check=True)
    known = scenes(dataset, TRAIN, told.persona, told.turns)
    fresh = scenes(dataset, HELD_OUT, told.persona, told.fresh)
    model = load_settings().engine.model
    found = Proof(told.folder, model, told.data, told.persona, known, fresh).run()
    print(json.dumps({key: value for key, value in found.items() if key != "replies"}, indent=1))
    sys.exit(not found["proven"])


if __name__ == "__main__":
    main()
