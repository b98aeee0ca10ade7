"""Routes and the tab that locust's web UI gains: /goodput, its state and the report; it knows no conductor.

locust's bundle makes of a tab's `component` whatever React makes of it, and template arguments are JSON: a name, so a
custom element. tab.js defines that element as a frame around our own page; a tab without one is a plain table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, make_response, request, send_file

from loadtest.live import Live

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.web import WebUI

_ASSETS = Path(__file__).parent
_ELEMENT = "goodput-tab"
_SCRIPT = b'<script src="./goodput/tab.js"></script></body>'


def install(environment: Environment, live: Live) -> None:
    """Add the tab and its routes. Call it in locust's `init` event: routes are closed once the UI serves.

    Does nothing without a web UI, as in headless runs and on workers.
    """
    web_ui = environment.web_ui
    if web_ui is None or web_ui.app is None:
        return
    prefix = web_ui.app.blueprints["locust"].url_prefix
    web_ui.app.register_blueprint(_routes(web_ui, live), url_prefix=prefix)
    web_ui.app.after_request(_with_element)
    tabs = web_ui.template_args.setdefault("extended_tabs", [])
    tabs.append({"title": "Goodput", "key": "goodput", "component": _ELEMENT})
    files = web_ui.template_args.setdefault("extended_csv_files", [])
    files.append({"href": "./goodput/report", "title": "Goodput report (HTML), once the run is done"})
    files.append({"href": "./goodput/state.json", "title": "Goodput as it stands (JSON)"})


def _routes(web_ui: WebUI, live: Live) -> Blueprint:
    routes = Blueprint("goodput", __name__)
    page = _page()

    def shown() -> Response:
        return make_response(page)

    def state() -> Response:
        answer = jsonify(live.snapshot())
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def script() -> Response:
        return send_file(_ASSETS / "tab.js", mimetype="text/javascript")

    def report() -> Response:
        if live.report is None or not live.report.exists():
            return make_response("The report is written when the run is done.", 404)
        return send_file(live.report.resolve(), mimetype="text/html")

    for path, view in {"": shown, "/state.json": state, "/tab.js": script, "/report": report}.items():
        routes.add_url_rule(f"/goodput{path}", view.__name__, web_ui.auth_required_if_enabled(view))
    return routes


def _page() -> str:
    """The page as one file: nothing of it comes from elsewhere."""
    page = (_ASSETS / "page.html").read_text(encoding="utf-8")
    for name in ("page.css", "page.js"):
        page = page.replace(f"/* {name} */", (_ASSETS / name).read_text(encoding="utf-8"))
    return page


def _with_element(response: Response) -> Response:
    if request.endpoint == "locust.index" and response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(response.get_data().replace(b"</body>", _SCRIPT, 1))
    return response
