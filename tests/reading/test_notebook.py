"""What a notebook shows: self-contained, escaped, small, with its caveats once; and the plot."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import secondread
from secondread.errors import NotAnImage, UsageError
from secondread.images import to_display
from secondread.reading import Decision, Reader, Reading, Refusal, load_bundle
from secondread.testing.phantoms import encode, film
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


def test_a_plot_has_the_probability_on_a_bar_with_the_operating_point(reader: Reader) -> None:
    reading = reader.read(film(400, 1, disease=True))
    (bar,) = reading.plot().child_axes
    assert bar.patches[0].get_width() == reading.probability
    assert reading.threshold in list(bar.get_xticks())
    assert "heat map" in bar.get_xlabel()
    without = reading.plot(bar=False)
    assert (without.child_axes, "heat map" in without.get_xlabel()) == ([], True)
    matplotlib.pyplot.close("all")


def test_a_reading_alone_is_plotted_with_the_image_that_is_given(reader: Reader, tmp_path: Path) -> None:
    array = film(400, 1, disease=True)
    path = tmp_path / "film.png"
    path.write_bytes(encode(array, "PNG"))
    reading = reader.read(array, keep_image=False)
    alone = reading.plot()
    assert len(alone.images) == 1
    assert "plot(image=…)" in alone.child_axes[0].get_xlabel()
    for source in (path, array, path.read_bytes()):
        axes = reading.plot(image=source)
        assert len(axes.images) == 2
        assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 399.5), (399.5, -0.5))
        assert "plot(image=…)" not in axes.child_axes[0].get_xlabel()
    with pytest.raises(UsageError, match="128 × 128 pixels, the one that was read 400 × 400"):
        reading.plot(image=film(128, 1, disease=True))
    with pytest.raises(NotAnImage):
        reading.plot(image=b"no image")
    matplotlib.pyplot.close("all")


def test_of_several_pictures_the_one_that_answered_is_drawn(reader: Reader) -> None:
    frames = np.stack([film(128, 1, disease=False), film(128, 2, disease=True)])
    data = dicom_of(frames)
    reading = reader.read(data, keep_image=False)
    held = reader.read(data, frame=reading.worst_frame - 1, keep_image=True).image
    shown = np.asarray(reading.plot(image=data, heatmap=False).images[0].get_array())
    assert np.array_equal(shown, to_display(held, longest_side=1024))
    matplotlib.pyplot.close("all")


def test_a_refusal_without_a_picture_is_plotted_as_its_sentence(reader: Reader) -> None:
    reading = reader.read(b"not an image at all")
    axes = reading.plot()
    assert (len(axes.images), axes.get_title()) == (0, "not read: not_an_image")
    words = " ".join(axes.texts[0].get_text().split())
    assert words == f"{reading.refusal.message} {reading.next_step.message}"
    matplotlib.pyplot.close("all")


def test_what_holds_no_picture_says_what_to_give() -> None:
    with pytest.raises(UsageError, match="plot\\(image=path\\), or read it with keep_image=True"):
        Reading("tuberculosis", "tuberculosis/x@0", 0.5, Decision.NEGATIVE, threshold=0.6).plot()


def test_a_reading_needs_no_path_to_be_a_dictionary(reader: Reader) -> None:
    assert reader.read(film(128, 1, disease=True)).to_dict()["path"] is None
