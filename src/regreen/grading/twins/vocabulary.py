"""The assertion functions of unittest, numpy, pandas, mock and nose, and where each one expects.

A new library's function is a new row here.
"""

from __future__ import annotations

__all__ = ["CALLED_WITH", "EQUAL", "OPPOSITE", "PREDICATES", "RAISES", "REFUTED", "TRUTH"]

_PAIRS = """
assertEqual assertEquals assertIs assertCountEqual assertItemsEqual assertListEqual assertDictEqual
assertTupleEqual assertSetEqual assertSequenceEqual assertMultiLineEqual assertAlmostEqual
assertAlmostEquals assertDictContainsSubset assertQuerySetEqual assertHTMLEqual assertXMLEqual
assertJSONEqual assertArrayEqual eq_ is_ assert_equal assert_equals assert_is assert_items_equal
assert_list_equal assert_dict_equal assert_tuple_equal assert_set_equal assert_sequence_equal
assert_multi_line_equal assert_almost_equal assert_array_equal assert_array_almost_equal
assert_allclose assert_approx_equal assert_string_equal assert_array_almost_equal_nulp
assert_array_max_ulp assert_frame_equal assert_series_equal assert_index_equal
assert_extension_array_equal assert_close assert_count_equal
"""
EQUAL: dict[str, int] = dict.fromkeys(_PAIRS.split(), 1) | {
    "assertRegex": 1,
    "assertRegexpMatches": 1,
    "assertIsInstance": 1,
    "assertIn": 0,
    "assert_in": 0,
    "assert_is_instance": 1,
}
"""Name of a function that compares two arguments -> which one is expected when both may be."""

TRUTH: dict[str, bool] = {
    "assertTrue": True,
    "assert_": True,
    "assert_true": True,
    "ok_": True,
    "assertFalse": False,
    "assert_false": False,
}
"""Name of a function of one condition -> the truth it wants."""

RAISES = frozenset(
    [
        "raises",
        "warns",
        "assertRaises",
        "assertRaisesRegex",
        "assertRaisesRegexp",
        "assertWarns",
        "assertWarnsRegex",
        "assertRaisesMessage",
        "assert_raises",
        "assert_raises_regex",
        "assert_warns",
        "failUnlessRaises",
        "RaisesGroup",
    ]
)
"""Functions whose first argument is the exception or warning to come."""

PREDICATES: dict[str, int] = {
    "isinstance": 1,
    "issubclass": 1,
    "allclose": 1,
    "isclose": 1,
    "array_equal": 1,
    "startswith": 0,
    "endswith": 0,
    "equals": 0,
    "hasattr": 1,
    "search": 0,
    "fullmatch": 0,
}
"""Functions that answer yes or no -> which argument is the expectation."""

CALLED_WITH = frozenset(
    [
        "assert_called_with",
        "assert_called_once_with",
        "assert_any_call",
        "assert_has_calls",
        "assert_awaited_with",
        "assert_awaited_once_with",
    ]
)
"""Methods of a mock whose arguments are what it should have been called with."""

_OPPOSITES = """
assertEqual assertNotEqual, assertEquals assertNotEqual, assertIs assertIsNot, assertIn assertNotIn,
assertIsNone assertIsNotNone, assertIsInstance assertNotIsInstance, assertTrue assertFalse,
assertAlmostEqual assertNotAlmostEqual, assertLess assertGreaterEqual,
assertGreater assertLessEqual, assertRegex assertNotRegex, assert_called assert_not_called
"""
OPPOSITE: dict[str, str] = {}
"""Name of an assertion -> name of the one that holds when it does not."""
for _pair in _OPPOSITES.split(","):
    _name, _other = _pair.split()
    OPPOSITE |= {_name: _other, _other: _name} if _name != "assertEquals" else {_name: _other}
OPPOSITE["assertNotEqual"] = "assertEqual"
OPPOSITE |= dict.fromkeys(
    [
        "assertListEqual",
        "assertDictEqual",
        "assertTupleEqual",
        "assertSetEqual",
        "assertSequenceEqual",
        "assertMultiLineEqual",
    ],
    "assertNotEqual",
)
OPPOSITE |= {"assertNotEquals": "assertEqual", "assert_called_once": "assert_not_called"}

REFUTED: dict[str, tuple[str, bool]] = {
    "assertNotEqual": ("assertEqual", True),
    "assertNotEquals": ("assertEqual", True),
    "assertIsNot": ("assertIs", True),
    "assertLess": ("assertEqual", True),
    "assertLessEqual": ("assertEqual", True),
    "assertGreater": ("assertEqual", True),
    "assertGreaterEqual": ("assertEqual", True),
    "assertIsNone": ("assertEqual", False),
    "assertIsNotNone": ("assertEqual", False),
    "assertNotIn": ("assertIs", True),
    "assertNotIsInstance": ("assertIs", True),
}
"""Name of an assertion -> the one to compare its first argument with a sentinel by, and whether it
has a second argument."""
