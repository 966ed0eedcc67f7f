"""The probability on a scale from 0 to 1, with the threshold and the uncertain band that decide."""

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from secondread.service._readings import StoredReading
from secondread.service._report_fonts import font
from secondread.service._report_style import COLOURS, GREY, RULE, WIDTH

_HEIGHT, _BAR, _BASE = 15 * mm, 3 * mm, 5 * mm
_BAND = HexColor(0xEBD98F)


class ProbabilityBar(Flowable):
    """A scale as wide as the page. Only for a reading that has a probability."""

    def __init__(self, reading: StoredReading):
        super().__init__()
        assert reading.probability is not None
        self.reading = reading
        self.width, self.height = WIDTH, _HEIGHT

    def draw(self) -> None:
        """Scale, band, threshold, and the reading's place."""
        canvas, reading = self.canv, self.reading
        canvas.setFillColor(RULE)
        canvas.rect(0, _BASE, WIDTH, _BAR, stroke=0, fill=1)
        if reading.low is not None and reading.high is not None:
            canvas.setFillColor(_BAND)
            canvas.rect(WIDTH * reading.low, _BASE, WIDTH * (reading.high - reading.low), _BAR, stroke=0, fill=1)
        self._ticks()
        x = WIDTH * float(reading.probability or 0)
        canvas.setFillColor(COLOURS[reading.decision])
        canvas.setStrokeColor(COLOURS[reading.decision])
        canvas.circle(x, _BASE + _BAR / 2, 1.8 * mm, stroke=0, fill=1)
        canvas.setFont(font(bold=True), 11)
        text = f"{reading.probability:.2f}"
        half = canvas.stringWidth(text, font(bold=True), 11) / 2
        canvas.drawCentredString(min(max(x, half), WIDTH - half), _BASE + _BAR + 2.2 * mm, text)

    def _ticks(self) -> None:
        canvas, reading = self.canv, self.reading
        canvas.setFont(font(), 7.5)
        canvas.setFillColor(GREY)
        canvas.drawString(0, 0.8 * mm, "0")
        canvas.drawRightString(WIDTH, 0.8 * mm, "1")
        canvas.setStrokeColor(GREY)
        canvas.setLineWidth(1)
        marks = {value for value in (reading.low, reading.threshold) if value is not None}
        for mark in marks:
            x = WIDTH * mark
            canvas.line(x, _BASE - 1 * mm, x, _BASE + _BAR + 1 * mm)
            canvas.drawCentredString(min(max(x, 6 * mm), WIDTH - 6 * mm), 0.8 * mm, f"{mark:.2f}")
