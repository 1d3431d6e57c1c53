"""Who is logged in. A session is as good as its token: once that is withdrawn, so is the session.

Sessions live in memory and end with the process. The cookie carries a signed name, nothing more.
"""

import hmac
import secrets
import time
from dataclasses import dataclass, field

from itsdangerous import BadSignature, URLSafeSerializer

from townsfolk.console.desk import Desk
from townsfolk.errors import Unauthorized

COOKIE = "townsfolk_console"
MAX_SESSIONS = 64


@dataclass
class Session:
    """One operator in one browser.

    Attributes:
        who: the token's name; kept with all that the operator decides.
        csrf: what each of its forms must carry.
        notice: told on the next page, once.
    """

    key: str
    who: str
    token: str = field(repr=False)
    until: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    notice: str = ""

    def owns(self, csrf: str) -> bool:
        """Whether a form with this `csrf` is one of ours."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())

    def take_notice(self) -> str:
        notice, self.notice = self.notice, ""
        return notice


class Sessions:
    """All sessions."""

    def __init__(self, desk: Desk, lasts_s: float) -> None:
        self._desk, self._lasts_s = desk, lasts_s
        self._signer = URLSafeSerializer(secrets.token_bytes(32))
        self._sessions: dict[str, Session] = {}

    def begin(self, token: str, address: str) -> tuple[Session, str]:
        """Log in; gives the session and its cookie.

        Raises:
            Unauthorized: the token is not an administrator's.
            TooOften: there were too many logins, from `address` or in all.
        """
        self._desk.count_login(address)
        who = self._desk.administrator(token)
        session = Session(secrets.token_urlsafe(24), who, token, time.monotonic() + self._lasts_s)
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session.key] = session
        return session, str(self._signer.dumps(session.key))

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, if it is still good."""
        try:
            session = self._sessions.get(self._signer.loads(cookie))
            if session is None or session.until <= time.monotonic():
                return None
            self._desk.administrator(session.token)
        except (BadSignature, Unauthorized):
            return None
        return session

    def end(self, session: Session) -> None:
        self._sessions.pop(session.key, None)
