"""What a legend names is drawn as the legend shows it."""

import re

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from tests.web.chromium import opened
from tests.web.conftest import Server

THRESHOLDS = "/thresholds?bundle=tuberculosis/best"
LOOKS = """paths => paths.map((path) => {
  const style = getComputedStyle(path);
  return [path.getAttribute("class"), style.stroke, style.strokeDasharray, style.strokeWidth];
})"""


def test_the_legend_of_the_thresholds_names_every_line_of_the_chart(client: FlaskClient) -> None:
    page = client.get(THRESHOLDS).text
    legend, chart = page.split('<ul class="legend">')[1].split("</ul>")[0], page.split('<svg class="chart" ')[1]
    kinds = r'class="((?:line|upright) \w+)"'
    assert re.findall(kinds, legend) == re.findall(kinds, chart.split("</svg>")[0])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_line_of_the_legend_looks_like_the_line_of_the_chart(browser: Browser, server: Server, scheme: str) -> None:
    with opened(browser, server.address, color_scheme=scheme) as page:
        page.goto(THRESHOLDS)
        drawn = page.eval_on_selector_all(".figure-chart :is(.line, .upright)", LOOKS)
        named = page.eval_on_selector_all(".legend :is(.line, .upright)", LOOKS)
        assert named == drawn
        assert len({(stroke, dashes) for _, stroke, dashes, _ in drawn}) == len(drawn), "told apart"
