"""The entrance: how a browser, which cannot be told to send a header, shows its token.

Whoever opens ``/?token=TOKEN`` is given a cookie and sent on to the page, so that the token is not
seen in the address for long; whoever opens the page without one is asked for it. No script can
read the cookie. Of what other sites have a browser send, only links that somebody follows carry it
(SameSite=Lax), and following a link changes nothing here. With Strict, who was sent the address of
a view would be asked for a token again.

What is not here: whether a token is good (`steplog.server.tokens`).
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl

from steplog.exceptions import MlflowException
from steplog.server import answers
from steplog.server.endpoint import Answer, Endpoint
from steplog.server.guard import Guard, Head

_YEAR = 365 * 24 * 3600
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in to steplog</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="plain.css">
<main class="entrance">
<h1>steplog</h1>
{trouble}<form method="get" action="./">
<p><label for="token">This server wants a token.</label></p>
<p><input id="token" name="token" type="password" required autofocus autocomplete="off">
<button>Sign in</button></p>
</form>
<p><code>steplog ui</code> prints an address that holds one;
<code>steplog token create</code> makes others.</p>
</main>
</html>
"""


class Entrance:
    """Signs browsers in and out.

    Args:
        guard: knows which tokens are good.

    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def look(self, head: Head, endpoint: Endpoint) -> Answer | None:
        """Return what to answer whoever asks for the page; None for who may see it now."""
        parameters = dict(parse_qsl(head.query, keep_blank_values=True))
        if "signout" in parameters:
            return self._sent_on("", 0)
        token = parameters.get("token")
        if token is not None:
            token = self._guard.redeem(token)
            if self._guard.is_good(endpoint, token):
                return self._sent_on(token, _YEAR)
            return _page("This token is not good here.")
        try:
            self._guard.caller(endpoint, head.headers)
        except MlflowException as error:
            if error.error_code == "UNAUTHENTICATED":
                return _page("")
            return answers.failed(error)
        return None

    def _sent_on(self, token: str, seconds: int) -> Answer:
        name = self._guard.cookie.decode()
        cookie = f"{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        return Answer(
            b"", "text/plain; charset=utf-8", 303, (("location", "./"), ("set-cookie", cookie))
        )


def _page(trouble: str) -> Answer:
    shown = f'<p role="alert">{escape(trouble)}</p>\n' if trouble else ""
    return answers.html(_PAGE.format(trouble=shown), 401)
