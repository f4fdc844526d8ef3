"""pytest's failure texts, as the runner hands them over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.tell.report import last_words, read_report, scrub

COMPARISON = """\
url = 'http://h/?q=1, x = 2', n = 3

    @pytest.mark.parametrize("url", URLS)
    def test_roundtrip(url, n):
        made = parse(url)
>       assert made.text == url
E       AssertionError: assert 'http://h' == 'http://h/?q=1, x = 2'
E
E         - http://h/?q=1, x = 2
E         + http://h
E         ?        ----
E         Use -v to get more diff

tests/test_url.py:7: AssertionError"""

DEEP = """\
def test_iterator():
        rows = [1, 2]
>       made = Rows(rows)
               ^^^^^^^^^^

tests/test_rows.py:12:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _
lib/rows.py:9: in __init__
    self._start()
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

self = <lib.rows.Rows object at 0x7f00deadbeef>

    def _start(self):
>       raise OffsetMissing(self.secret_detail)
E       lib.rows.OffsetMissing: no offset in <Rows at 0x7f00deadbeef>

lib/rows.py:20: OffsetMissing"""

CHAINED = (
    DEEP
    + """

During handling of the above exception, another exception occurred:

    def test_curry():
>       assert take(2)([1]) == [1]

tests/test_curry.py:4:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _
lib/curry.py:3: in take
    return 1 + None
E   TypeError: unsupported operand

lib/curry.py:3: TypeError"""
)


def test_a_comparison_is_read_with_its_arguments_and_its_diff():
    report = read_report(COMPARISON)
    assert report is not None
    assert (report.path, report.line, report.own) == ("tests/test_url.py", 7, True)
    assert report.arguments == {"url": "'http://h/?q=1, x = 2'", "n": "3"}
    assert report.code.splitlines()[report.at - 1].strip() == "assert made.text == url"
    assert report.observed == (
        "AssertionError: assert 'http://h' == 'http://h/?q=1, x = 2'",
        "- http://h/?q=1, x = 2",
        "+ http://h",
    )
    assert report.exception == "AssertionError"


def test_of_a_deep_error_only_the_first_frame_and_the_last_words_are_read():
    report = read_report(DEEP)
    assert report is not None
    assert (report.path, report.line, report.own) == ("tests/test_rows.py", 12, False)
    assert report.code.startswith("def test_iterator")
    assert "secret_detail" not in report.code
    assert report.exception == "OffsetMissing"
    assert report.observed == ("lib.rows.OffsetMissing: no offset in <Rows>",)


def test_of_chained_exceptions_the_one_that_escaped_counts():
    report = read_report(CHAINED)
    assert report is not None
    assert (report.path, report.exception) == ("tests/test_curry.py", "TypeError")
    assert report.observed == ("TypeError: unsupported operand",)


def test_a_report_without_code_still_has_last_words():
    text = "E   RecursionError: maximum recursion depth exceeded"
    assert read_report(text) is None
    assert last_words(text) == ["RecursionError: maximum recursion depth exceeded"]
    assert last_words("") == []


def test_values_that_pytest_cut_are_not_taken_for_values():
    cut = "'" + "a" * 118 + "..." + "b" * 118 + "'"
    report = read_report(f"word = {cut}\n\n{DEEP}")
    assert report is not None
    assert report.arguments["word"] == "..."


def test_arguments_that_are_no_python_are_read_all_the_same():
    head = "self = <t.TestX object at 0x7f1234567890>, n = -3\nbox = <Box a, b>\n\n    "
    report = read_report(head + DEEP)
    assert report is not None
    assert report.arguments == {"self": "<t.TestX object>", "n": "-3", "box": "<Box a, b>"}


def test_long_lines_lose_their_middle():
    report = read_report(DEEP.replace("no offset", "begin " + "x" * 5000 + " end"))
    assert report is not None
    (line,) = report.observed
    assert len(line) < 420
    assert "begin" in line
    assert line.endswith("end in <Rows>")


def test_scrubbing_takes_out_what_differs_from_run_to_run():
    assert scrub("<function f at 0x7f77050c77e0>") == "<function f>"
    assert scrub("<test_dicttoo...x7f7705168390>") == "<test_dicttoo...>"
    assert scrub("<bound method X of <bol[50 chars]670>>") == "<bound method X of <bol[...]>>"
    assert scrub("from '/testbed/lib/a.py'") == "from '...'"


@given(st.text(alphabet="E>_ \n'=(x:/.py1", max_size=200))
def test_any_text_can_be_read(text):
    report = read_report(text)
    assert report is None or report.observed is not None
    assert scrub(scrub(text)) == scrub(text)
