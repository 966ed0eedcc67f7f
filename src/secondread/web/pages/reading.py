"""The page where images are dropped and read at once."""

from apiflask import APIBlueprint
from flask import current_app, render_template

from secondread.tasks import list_tasks, load_task
from secondread.web.auth import require

pages = APIBlueprint("pages", __name__, enable_openapi=False)


@pages.get("/")
@require("read")
def index() -> str:
    """The page where images are dropped and readings appear."""
    tasks = [load_task(name) for name in list_tasks()]
    return render_template("index.html", tasks=tasks, settings=current_app.config)
