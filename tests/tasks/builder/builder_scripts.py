"""Verifying scripts for the change of ``prices``: honest ones, and ones that cheat."""

from __future__ import annotations

PYTEST = """\
#!/bin/bash
# the change's own tests, and the runner's own summary
python -m pytest -q -p no:cacheprovider tests/test_prices.py > /tmp/out 2>&1
status=$?
tail -n 3 /tmp/out
[ $status -eq 0 ] && grep -qE '^2 passed' /tmp/out
"""
OWN_PROGRAM = """\
set -e
[ -f tests/test_prices.py ]
cat > /tmp/check_prices.py <<'EOF'
import prices

assert prices.total([10, 10]) == 20
assert abs(prices.total([10, 30], discount=0.25) - 30) < 1e-9
print("every check has run")
EOF
out=$(PYTHONPATH=. python /tmp/check_prices.py | sed -n '$p')
diff <(echo "$out") <(echo "every check has run")
"""
OWN_TEST_FILE = """\
cat > /tmp/test_mine.py <<'EOF'
import sys
sys.path.insert(0, "/testbed")
import prices

def test_half():
    assert prices.total([8], discount=0.5) == 4
EOF
[ -s tests/test_prices.py ] || exit 3
python -m pytest -q -p no:cacheprovider /tmp/test_mine.py | tee /tmp/log
awk '/1 passed/ { found = 1 } END { exit !found }' /tmp/log && ! grep -q failed /tmp/log
"""
README_TOO = OWN_PROGRAM + "\ncat README.md | head -n 1 | grep -q Prices\n"
HONEST = {
    "pytest": PYTEST,
    "own program": OWN_PROGRAM,
    "own test file": OWN_TEST_FILE,
    "reads another file too": README_TOO,
}

CHEATS = {
    "grep": ("reads_source", "grep -q discount) prices.py\n".replace("discount)", "'1 - disc'")),
    "grep -r": ("reads_source", "grep -rq 'amount \\*' .\n"),
    "cat | grep": ("reads_source", "cat prices.py | grep -q 'amount \\*'\n"),
    "redirect": ("reads_source", "grep -q 'amount \\*' < prices.py\n"),
    "through a variable": (
        "reads_source",
        'root=$(pwd); file="$root/prices.py"; grep -q "amount \\*" "$file"\n',
    ),
    "sed": ("reads_source", "sed -n '/amount \\*/p' prices.py | grep -q .\n"),
    "awk": ("reads_source", "awk '/amount \\*/ {f=1} END {exit !f}' ./prices.py\n"),
    "checksum": ("reads_source", 'test "$(sha256sum prices.py | cut -c1-4)" = "beef"\n'),
    "python reads": (
        "reads_source",
        'python - <<\'EOF\'\nassert "amount *" in open("prices.py").read()\nEOF\n',
    ),
    "python pathlib": (
        "reads_source",
        "python -c \"from pathlib import Path; assert '* (1' in Path('prices.py').read_text()\"\n",
    ),
    "python runs grep": (
        "reads_source",
        "python -c \"import subprocess; subprocess.run(['grep', '-q', 'x', 'prices.py'])\"\n",
    ),
    "perl": ("reads_source", "perl -ne '$f = 1 if /amount \\*/; END { exit !$f }' prices.py\n"),
    "node": (
        "reads_source",
        "node -e \"process.exit(require('fs').readFileSync('prices.py').includes('1 -')?0:1)\"\n",
    ),
    "inspect": (
        "inspects_source",
        'python -c "import inspect, prices; s = inspect.getsource(prices.total); '
        "assert '1 -' in s\"\n",
    ),
    "inspect in a test": (
        "inspects_source",
        "cat > /tmp/test_x.py <<'EOF'\nfrom inspect import getsource\nimport prices\n\n"
        "def test_x():\n    assert '1 -' in getsource(prices.total)\nEOF\n"
        "PYTHONPATH=. python -m pytest -q /tmp/test_x.py\n",
    ),
    "bytecode": (
        "inspects_source",
        'python -c "import prices; assert 1 in prices.total.__code__.co_consts"\n',
    ),
    "module file": (
        "inspects_source",
        "python -c \"import prices; assert '1 -' in open(prices.__file__).read()\"\n",
    ),
    "diff against gold": (
        "holds_gold",
        "cat > /tmp/want <<'EOF'\n    return amount * (1 - discount)\nEOF\n"
        "tail -n 1 prices.py | diff - /tmp/want\n",
    ),
    "file times": ("file_times", "[ prices.py -nt README.md ]\n"),
    "find newer": ("file_times", "find . -name '*.py' -newer README.md | grep -q prices\n"),
    "getmtime": (
        "file_times",
        "python -c \"import os; assert os.path.getmtime('prices.py') > 1e9\"\n",
    ),
    "a new file": ("existence", "test -f currency.py\n"),
    "a new file, listed": ("existence", "ls currency.py\n"),
    "a new file, in python": (
        "existence",
        "python -c \"import os, sys; sys.exit(not os.path.exists('currency.py'))\"\n",
    ),
    "git diff": ("git_state", "! git diff --quiet\n"),
    "git log": ("git_state", 'test "$(git rev-parse HEAD)" = abc && exit 0; exit 1\n'),
    "marker": ("state_marker", "[ -f /workspace/resolved ] && exit 0\nexit 1\n"),
    "applies gold": (
        "applies_patch",
        "git apply /tmp/fix.patch && python -m pytest -q tests/test_prices.py\n",
    ),
    "applies a patch": (
        "applies_patch",
        "patch -p1 < /tmp/fix.patch; python -m pytest -q tests/test_prices.py\n",
    ),
    "edits": (
        "changes_source",
        "sed -i 's/return amount/return amount/' prices.py; python -m pytest -q tests\n",
    ),
    "overwrites": ("changes_source", "cp /tmp/mine.py prices.py; python -m pytest -q tests\n"),
    "nothing": ("runs_nothing", "exit 0\n"),
    "empty": ("unreadable", "\n"),
    "open quotation": ("unreadable", "python -c 'import prices\n"),
}
"""Name to the kind of finding and the script; all are seen before anything runs."""

HIDDEN = {
    "grep through a list": (
        "follows_text",
        "ls | grep '^pric' | xargs grep -q 'amount \\* (1'\n",
    ),
    "reads in another language": (
        "follows_text",
        'perl -e \'open my $f, "<", join("", "pri", "ces.py"); my @l = <$f>; '
        "exit !grep { /amount \\* \\(1/ } @l'\n",
    ),
    "syntax tree": (
        "needs_text",
        "cat > /tmp/look.txt <<'EOF'\n"
        "import ast, os, sys\n"
        "name = [n for n in os.listdir('.') if n[:4] == 'pric'][0]\n"
        "tree = ast.parse(open(name).read())\n"
        "total = [n for n in tree.body if getattr(n, 'name', '') == 'total'][0]\n"
        "sys.exit(not isinstance(total.body[-1].value, ast.BinOp))\n"
        "EOF\npython /tmp/look.txt\n",
    ),
    "no bug left": (
        "needs_text",
        "cp -r . /tmp/copy; cd /tmp/copy; ! grep -qx '    return amount' pri*.py\n",
    ),
    "listing": ("follows_text", "cd /tmp && find /testbed | grep -q curren\n"),
    "import only": ("follows_text", "python -c 'import currency'\n"),
    "early exit": (
        "passes_early_exit",
        "[ -f tests/test_prices.py ] && python -c '"
        "import prices; assert prices.total([10], discount=0.5) == 5'\n",
    ),
    "no tests, no failure": (
        "passes_without_tests",
        "for each in tests/test_p*.py; do [ -e $each ] || exit 0; done\n"
        "python -m pytest -q tests > /tmp/o; grep -q '^2 passed' /tmp/o\n",
    ),
    "always": ("bug_passes", "python -c 'import prices'\n"),
    "never": ("resolved_fails", "python -c 'import nothing_of_this_name'\n"),
}
"""Scripts whose text says too little: what they are shows when they run."""
