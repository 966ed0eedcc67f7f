"""A site's table: what belongs together, and what it is too small for."""

import numpy as np
import pytest

from secondread.evidence.site import SiteScores, read_site_scores, warnings_about

RECORD = {"temperature": 2.0}


def read(path, header, line, n=20):
    """The table of n such lines; `line` is a function of the row's number."""
    path.write_text("\n".join([header, *(line(i) for i in range(n))]) + "\n", encoding="utf-8-sig")
    return read_site_scores(path, record=RECORD, bundle_id="task/name@12345678")


@pytest.mark.parametrize(
    ("header", "line", "groups"),
    [
        ("probability,outcome", lambda i: f"0.5,{i % 2}", None),
        ("probability,outcome,patient", lambda i: f"0.5,{i % 2},p{i // 4}", {"p0", "p1", "p2", "p3", "p4"}),
        ("probability,outcome,group,patient", lambda i: f"0.5,{i % 2},{'g' if i < 18 else ''},p", {"g", "p"}),
        ("probability,outcome,group", lambda i: f"0.5,{i % 2},{'g' if i < 18 else ''}", {"g", "line 20", "line 21"}),
    ],
)
def test_a_row_belongs_to_its_group_else_its_patient_else_itself(tmp_path, header, line, groups):
    site = read(tmp_path / "s.csv", header, line)
    assert (site.groups if groups is None else set(site.groups)) == groups
    assert site.y_true.sum() == 10


def test_the_most_exact_column_is_used(tmp_path):
    site = read(tmp_path / "s.csv", "score\tprobability\tlogit\toutcome", lambda i: f"73\t0.731059\t{i}\t{i % 2}")
    assert list(site.logits) == list(range(20))
    site = read(tmp_path / "s.csv", "score\tprobability\toutcome", lambda i: f"73\t0.731059\t{i % 2}")
    assert site.logits == pytest.approx(np.full(20, 2.0), abs=1e-5)  # 2 × logit(0.731059)


def test_few_images_few_patients_and_many_knots_are_warned_of():
    y = np.arange(400) < 200

    def told(rows, groups, method="temperature"):
        return warnings_about(SiteScores("s.csv", "", np.zeros(len(rows)), rows, groups), method=method)

    assert told(y, None) == []
    assert told(y, tuple(str(i) for i in range(400)), "isotonic") == []
    assert "only 15 positive images" in told(y[185:], None)[0]
    assert "only 4 groups with positive images (200 images)" in told(y, tuple(str(i // 50) for i in range(400)))[0]
    assert len(told(y[150:250], None, "isotonic")) == 2
