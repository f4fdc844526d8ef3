import re
from pathlib import Path
from xml.etree import ElementTree

from regreen.packing import POLICIES

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = (FOLDER / "packing.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_page_names_every_policy() -> None:
    assert all(f"| `{name}`" in PAGE and f"**{name}**" in PAGE for name in POLICIES)


def test_the_picture_is_there_and_described() -> None:
    (name,) = re.findall(r"!\[.+\]\((.+\.svg)\)", PAGE)
    root = ElementTree.parse(FOLDER / name).getroot()
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
