"""Whoever talks to the running product: programs with a key and people at a browser; every answer is kept."""

from __future__ import annotations

import re
from typing import Any

import requests

from tests.processes.conftest import Product

PAGES_AT_MOST = 150
"""Lists of every kind and some pages of each; the rest are more of the same."""

NOT_FOLLOWED = re.compile(r"logout|disconnect|/static/|/language/|password_change")

BROKEN_BODIES = {
    "cut off": '{{"provider": "whatsapp", "credentials": {{"access_token": "{0}"',
    "a list": '["{0}"]',
    "a bare text": '"{0}"',
    "NUL": '{{"provider": "whatsapp", "name": "{0}\\u0000", "credentials": {{"access_token": "{0}\\u0000"}}}}',
    "half a pair": '{{"provider": "whatsapp", "credentials": {{"access_token": "{0}\\ud800"}}, "settings": {{}}}}',
    "endless": '{{"credentials": {{"access_token": "{0}"}}, "x": 1e400}}',
    "twice nested": '{{"provider": "whatsapp", "credentials": {{"access_token": {{"value": "{0}"}}}}}}',
    "credentials a text": '{{"provider": "whatsapp", "credentials": "{0}", "settings": "{0}"}}',
    "a space inside": '{{"provider": "whatsapp", "credentials": {{"access_token": "{0} {0}"}}, "settings": {{}}}}',
    "unknown provider": '{{"provider": "{0}", "credentials": {{"access_token": "{0}"}}}}',
    "unknown environment": '{{"provider": "whatsapp", "environment": "{0}", "credentials": {{}}}}',
}
"""What a program may send by mistake, with a secret at {0}."""


class Answers:
    """Every answer that anybody got; what is meant to show a secret once is kept apart."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.statuses: dict[str, int] = {}

    def keep(self, answer: requests.Response) -> requests.Response:
        """Keep an answer: status, headers, body."""
        place = f"{answer.request.method} {answer.request.path_url[:80]}"
        self.seen.append((place, str(answer.headers).encode() + b"\n" + answer.content))
        self.statuses[place] = answer.status_code
        return answer


class Program:
    """A customer's program with an API key."""

    def __init__(self, product: Product, key: str, answers: Answers) -> None:
        self.url, self.answers = f"{product.url}/api/v1", answers
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """Call the API and keep the answer."""
        answer = self.http.request(method, self.url + path, json=body, timeout=60, **more)
        return self.answers.keep(answer)


class Person:
    """Somebody at a browser."""

    def __init__(self, product: Product, answers: Answers) -> None:
        self.url, self.answers = product.url, answers
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str, **more: Any) -> requests.Response:
        """Open a page."""
        return self.answers.keep(self.http.get(self.url + path, timeout=60, **more))

    def post(self, path: str, *, page: str = "", **fields: str) -> requests.Response:
        """Fill in the form of a page and send it; the answers on the way are kept, too."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page or path).text)
        token = found[1] if found else self.http.cookies.get("csrftoken", "")
        answer = self.http.post(
            self.url + path,
            data=fields | {"csrfmiddlewaretoken": token},
            headers={"Referer": self.url + path},
            timeout=60,
        )
        for step in (*answer.history, answer):
            self.answers.keep(step)
        return answer

    def walk(self, start: str) -> list[str]:
        """Open every page below an address that links lead to; return those that failed."""
        waiting, known, failed = [start], {start}, []
        while waiting and len(known) < PAGES_AT_MOST:
            answer = self.get(waiting.pop(0))
            failed += [answer.request.path_url] if answer.status_code >= 500 else []
            for link in re.findall(r'href="(/[^"#]*)"', answer.text):
                if link.startswith(start) and link not in known and not NOT_FOLLOWED.search(link):
                    known.add(link)
                    waiting.append(link)
        return failed
