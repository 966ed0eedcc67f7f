"""What a notebook shows: self-contained, escaped, small, with its caveats once; and the plot."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import secondread
from secondread.errors import UsageError
from secondread.reading import Reader, Reading, Refusal, load_bundle
from secondread.testing.phantoms import film
from tests.several import dicom_of, stack

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tuberculosis/paper", gate=False)


def check(html: str) -> None:
    assert html.count("no medical device") == 1
    assert "http" not in re.sub(r"data:image/\w+;base64,[\w+/=]+", "", html)
    assert "<script" not in html
    assert "background:#fff" not in html, "it is readable in dark notebooks"
    assert len(html) < 60_000


def test_a_reading_of_a_large_film_shows_a_small_picture(reader: Reader) -> None:
    large = film(1600, 1, disease=True)
    reading = reader.read(large)
    assert reading.image is None
    assert (reading.small.width, reading.small.height) == (400, 400)
    check(reading._repr_html_())
    assert reading._repr_html_().count("data:image/jpeg") == 1
    assert "A heat map shows what the model used" in reading._repr_html_()
    assert f"{reading.probability:.3f}" in reading._repr_html_()
    assert len(reader.read(large, keep_image=True)._repr_html_()) < 60_000


def test_who_wants_no_picture_pays_for_none(reader: Reader) -> None:
    (reading,) = reader.read_many([film(128, 1, disease=True)])
    assert (reading.small, reading.image) == (None, None)
    check(reading._repr_html_())
    assert "data:image/png" in reading._repr_html_(), "the map alone"


def test_refusals_and_names_are_shown_as_text(reader: Reader) -> None:
    refused = reader.read(np.zeros((128, 128), np.uint8))
    assert "blank" in refused._repr_html_()
    check(refused._repr_html_())
    check(reader.read(b"hello")._repr_html_())
    evil = replace(refused, task="<script>", refusal=Refusal("<b>", "<img src=x>"))
    assert "&lt;img src=x&gt;" in evil._repr_html_()
    assert "<b>&lt;b&gt;" not in evil._repr_html_()
    check(evil._repr_html_())


def test_several_frames_show_their_scores(reader: Reader) -> None:
    html = reader.read(dicom_of(stack(3)))._repr_html_()
    assert "<polyline" in html
    assert "3 frames; the most suspicious is" in html
    check(html)


def test_bundle_evidence_and_audit(phantom_manifest: Path) -> None:
    bundle = load_bundle("fracture/best")
    for html in (bundle._repr_html_(), secondread.Evidence.load(bundle.folder)._repr_html_()):
        check(html)
        assert "<polyline" in html
        assert "roc_auc" in html
    check(secondread.audit(phantom_manifest)._repr_html_())


def test_a_plot_is_in_the_pixels_of_the_image(reader: Reader) -> None:
    reading = reader.read(film(400, 1, disease=True))
    axes = reading.plot()
    assert len(axes.images) == 2
    assert axes.get_xlim() == (-0.5, 399.5)
    assert axes.get_ylim() == (399.5, -0.5)
    assert str(reading.decision) in axes.get_title()
    again = reading.plot(axes.figure.add_subplot(), heatmap=False)
    assert len(again.images) == 1
    matplotlib.pyplot.close("all")


def test_a_plot_has_the_boxes_of_a_reading(reader: Reader) -> None:
    from secondread.reading import Finding, Findings

    reading = reader.read(film(400, 1, disease=True))
    boxed = replace(reading, found=Findings((Finding((10.0, 20.0, 30.0, 40.0), 0.99, "tuberculosis"),), 0.5))
    (patch,) = boxed.plot().patches
    assert (patch.get_xy(), patch.get_width(), patch.get_height()) == ((10.0, 20.0), 30.0, 40.0)
    assert not list(boxed.plot(boxes=False).patches)
    assert "1 box, the strongest 0.990" in boxed._repr_html_()
    matplotlib.pyplot.close("all")


def test_what_holds_no_picture_cannot_be_plotted() -> None:
    with pytest.raises(UsageError, match="keep_image=True"):
        Reading("tuberculosis", refusal=Refusal("truncated", "…")).plot()


def test_a_reading_needs_no_path_to_be_a_dictionary(reader: Reader) -> None:
    assert reader.read(film(128, 1, disease=True)).to_dict()["path"] is None
