"""`townsfolk health`: whether the running service can serve turns, for containers, units and scripts."""

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.cli.running import Url, ask
from townsfolk.config import load_settings
from townsfolk.errors import InvalidRequest


def health(url: Url = "", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Ask the running service whether it is ready; exit status 1 if it is not, or is not running."""
    told = ask(url, load_settings(config), "/readyz")
    if told is None:
        raise InvalidRequest("no service answers: start it with townsfolk serve, or name it with --url")
    show(as_json, ": ".join(told.values()), told)
