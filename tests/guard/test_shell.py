"""The shell is read as bash reads it: what would be run, with which words, fed with what."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.guard.shell import Command, analyse
from regreen.guard.shell.python import read_python


def read(text: str) -> list[Command]:
    return list(analyse(text, cwd="/testbed").commands)


def words(text: str) -> list[tuple[str, ...]]:
    return [(each.program, *each.arguments) for each in read(text)]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("c''ur\\l \"a b\"c $'\\x64'", ("curl", "a bc", "d")),
        ("X='a  b'; p $X \"$X\"", ("p", "a", "b", "a  b")),
        ("X=abc; p ${X:1} ${X:0:2} ${X/b/z} ${X%c} ${X#a} ${X^^} ${#X} ${Y:-d}",
         ("p", "bc", "ab", "azc", "ab", "bc", "ABC", "3", "d")),
        ("p {a,b}c x{1..3} '{d,e}'", ("p", "ac", "bc", "x1", "x2", "x3", "{d,e}")),
        ("a=(x 'y z'); a+=(w); p \"${a[@]}\" ${a[1]}", ("p", "x", "y z", "w", "y", "z")),
        ("p $(echo one two) \"$(printf '%s-' 1 2)\"", ("p", "one", "two", "1-2-")),
        ("p $((2+3*4)) `echo x`", ("p", "14", "x")),
        ("f() { p \"$2\" $#; }; f a 'b c'", ("p", "b c", "2")),
        ("set -- a b; shift; p $1", ("p", "b")),
        ("read A B <<< 'x y z'; p $A \"$B\"", ("p", "x", "y z")),
        ("alias q='p -v'; q w", ("p", "-v", "w")),
        ("N=X; X=deep; p ${!N}", ("p", "deep")),
        ("env -u A B=1 timeout -s KILL 5 nice -n 3 p x", ("p", "x")),
        ("echo 'a b' | xargs -n1 p -f", ("p", "-f", "a", "b")),
        ("printf 'x\\ny\\n' | xargs -I@ p @z", ("p", "yz")),
        ("find . -name q -exec p {} \\;", ("p", "{}")),
        ("bash -c 'p \"$1\"' zero one", ("p", "one")),
        ("cat > s.sh <<'E'\np in-file\nE\nsh s.sh", ("p", "in-file")),
        ("cat <<E 2>&1 | sh; true\np $((1+1))\nE", ("true",)),
        ("cp /usr/bin/p /tmp/q; /tmp/q x", ("p", "x")),
        ("echo cCBk | base64 -d | sh", ("p", "d")),
        ("a=1 p b # c; d", ("p", "b")),
        ("((p a); p b)", ("p", "b")),
        ("x $((p a) | q)", ("x", "\ue000")),
    ],
)  # fmt: skip
def test_the_last_command_has_these_words(text: str, last: tuple[str, ...]) -> None:
    assert words(text)[-1] == last


@pytest.mark.parametrize(
    "text",
    [
        "echo 'curl x; git y'",
        "cat <<'E' > f\ncurl x\ngit y\nE",
        "cat > f <<E; echo $(true) && echo b\ncurl 'x\nE",
        "git commit -m \"$(cat <<'E'\nDon't curl (\nE\n)\"",
        "# curl x\necho a # curl y",
        'f() { curl "$1"; }',
        "case x in curl) echo a;; esac",
        "[[ $x == curl* && a < b ]] || echo c",
        "python - <<'E'\nprint('curl x')\nE",
    ],
)
def test_text_is_no_command(text: str) -> None:
    assert "curl" not in {each.program for each in read(text)}


def test_redirections_pipes_and_wrappers_are_noted() -> None:
    exec_, cat, sh = read("exec 3<>/dev/tcp/h/80; cat a | sh -x")
    assert exec_.redirects == (("<>", "/dev/tcp/h/80"),)
    assert (cat.feeds, sh.program) == ("sh", "sh")
    inner = read("sudo bash -c 'git status'")[-1]
    assert (inner.program, inner.via) == ("git", ("sudo", "bash"))
    assert read("(cd sub && p); q")[-1].cwd == "/testbed"
    assert read("cd sub; p")[-1].cwd == "/testbed/sub"


@pytest.mark.parametrize(
    ("code", "call", "argument"),
    [
        ("import a.b as c; c.d('x')", "a.b.d", "x"),
        ("from a import b\nb('x' + 'y')", "a.b", "xy"),
        ("import a; s = a.S(); s.get('x')", "a.S.get", "x"),
        ("import a; a.f('{}-{}'.format('x', 'y'))", "a.f", "x-y"),
        ("import a; n = 'y'; a.f(f'x{n}')", "a.f", "xy"),
        ("import a; a.f('/'.join(['x', 'y']))", "a.f", "x/y"),
        ("import a; a.f('%s.%s' % ('x', 'y'))", "a.f", "x.y"),
        ("import a, base64; a.f(base64.b64decode('eHk=').decode())", "a.f", "xy"),
        ("import a; a.f(''.join(chr(c) for c in [120, 121]))", "a.f", "xy"),
        ("import a; a.f('yx'[::-1])", "a.f", "xy"),
        ("import a; getattr(a, 'f')('x')", "a.f", "x"),
        ("__import__('a').f('x')", "a.f", "x"),
        ("import a\ndef g(u):\n    a.f(u)\ng('x')", "a.f", "x"),
        ("exec('import a; a.f(\"x\")')", "a.f", "x"),
        ("import a\nfor u in ['w', 'x']:\n    a.f(u)", "a.f", "x"),
        ("import a\nwith a.f('x') as h:\n    pass", "a.f", "x"),
        ("import a\nasync def g():\n    await a.f('x')", "a.f", "x"),
    ],
)
def test_calls_in_python_are_followed_to_their_constants(
    code: str, call: str, argument: str
) -> None:
    calls = {(each.program, *each.arguments) for each in read_python(code).commands}

    assert (call, argument) in calls


def test_what_python_runs_writes_and_prints() -> None:
    found = read_python(
        "import subprocess as s, os\n"
        "s.run(['git', 'status'])\n"
        "os.system('ls -l')\n"
        "open('a.sh', 'w').write('echo x')\n"
        "print('done', 'it')\n"
    )
    assert found.words == [("git", "status")]
    assert found.scripts == ["ls -l"]
    assert found.writes == {"a.sh": "echo x"}
    assert found.printed == "done it\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash to compare with")
@given(
    st.lists(
        st.sampled_from(
            ["a", "'b c'", '"d  e"', "\\f", "$X", '"$X"', "${X}g", "{h,i}", "$'\\x6a'", "k\\ l",
             '"$(echo m n)"', "$(echo o p)", "''", "${X:0:1}", "${Y:-q}", "${X/1/r}", "s#t",
             "u{1..2}"]
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([" ", ""]),
)  # fmt: skip
@settings(max_examples=40)
def test_words_are_those_of_bash(pieces: list[str], glue: str) -> None:
    line = glue.join(pieces)
    script = f"X='1 2'; printf '<%s>' {line}"
    real = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    fields = words(script)[-1][2:]
    ours = "".join(f"<{field}>" for field in fields) if fields else "<>"

    assert ours == real
