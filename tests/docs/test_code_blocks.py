"""Every code block of README and docs/ runs, in the order of its page; one that does not is marked with its reason."""

import re
from pathlib import Path

import pytest

from tests.deploy.checks import check_command, commands_in
from tests.docs.blocks import PAGES, ROOT, Run, document, evaluated, prepare

# Why a block is not run, and how many there may be of each kind.
NOT_RUN = {
    "installs packages": 12,
    "needs root on a server": 14,
    "needs containers": 2,
    "needs a cluster": 3,
    "needs a PACS": 6,
    "needs several hospitals": 2,
    "needs a correction that waits": 1,
    "needs S3": 2,
    "needs a provider of logins": 1,
    "asks for a password": 1,
    "needs a running service and another bundle": 1,
    "needs real collections and hours": 11,
    "needs real films with outcomes": 3,
}
_MARK = re.compile(r'<!-- skip: next "([^"]+)" -->\n\n```bash\n(.*?)^```', re.S | re.M)
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.S | re.M)
# Written from results, with the commands that made them as a record.
_RECORDS = ("docs/reference/leaderboard.md", "docs/explanation/paper-comparison.md")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def runnable(page: str) -> int:
    return len(_BLOCK.findall(text_of(page))) - len(_MARK.findall(text_of(page)))


def test_blocks_that_are_not_run_are_few_and_say_why() -> None:
    found = [reason for page in PAGES for reason, _ in _MARK.findall(text_of(page))]
    assert {reason: found.count(reason) for reason in found if found.count(reason) > NOT_RUN.get(reason, 0)} == {}
    assert "skip:" not in re.sub(_MARK, "", "\n".join(map(text_of, PAGES))), "a mark stands before the block it skips"
    assert max(len(_MARK.findall(text_of(page))) for page in PAGES if "/tutorial/" in page or page == "README.md") <= 1


def test_no_listing_escapes_by_being_indented_or_of_no_language() -> None:
    """Blocks are fenced and say what they are in."""
    wrong = []
    for page in PAGES:
        outside = re.sub(r"^```\w+\n.*?^```$", "", text_of(page), flags=re.S | re.M)
        indented = re.search(r"(?:^|\n)\n {4}(?! *[-*|])\S", outside)
        wrong += [page] if page not in _RECORDS and (indented or "```" in outside) else []
    assert wrong == []


def test_commands_of_blocks_that_are_not_run_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are parsed by the command line itself."""
    listings = [listing for page in PAGES for _, listing in _MARK.findall(text_of(page))]
    found = [words for listing in listings for words in commands_in(listing.replace("\\\n", " "))]
    monkeypatch.chdir(tmp_path)
    for path in ("manifest.csv", "mine.toml", "other.toml", "scores.csv"):
        Path(path).touch()
    Path("trained").mkdir()
    assert len(found) > 20
    for words in found:
        check_command(words)


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
@pytest.mark.peers
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")  # of a user's own program, not of ours
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    if "/tutorial/" in page:
        (tmp_path / "film.png").unlink()  # which it draws itself
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECONDREAD_GATE", "off")
    run = Run(tmp_path)
    try:
        assert evaluated(page, run) == runnable(page)
    finally:
        run.end()


def test_a_block_that_fails_fails_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\ntrue\n```\n\n```bash\nfalse | true\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="ended with 1"):
        evaluated(str(page), Run(tmp_path))
    assert len(list(document(str(page), Run(tmp_path)).examples())) == 2
