"""Constructs that reach around the language: frames, memory, processes, hooks, hidden code."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from regreen.guard.diff.runner import runner_findings
from regreen.guard.diff.source import Finding, Source, parse

__all__ = ["interpreter_findings"]

_CALLS: dict[str, str] = {
    "sys._getframe": "frames_named",
    "sys._getframemodulename": "frames_named",
    "inspect.currentframe": "frames_named",
    "traceback.extract_stack": "frames_named",
    "traceback.format_stack": "frames_named",
    "inspect.stack": "frame_access",
    "inspect.getouterframes": "frame_access",
    "inspect.getinnerframes": "frame_access",
    "inspect.getargvalues": "frame_access",
    "traceback.walk_stack": "frame_access",
    "sys._current_frames": "frame_access",
    "gc.get_objects": "object_search",
    "gc.get_referrers": "object_search",
    "gc.get_referents": "object_search",
    "os.abort": "process_ended",
    "os.killpg": "process_ended",
    "os.kill": "process_ended",
    "signal.raise_signal": "process_ended",
    "signal.pthread_kill": "process_ended",
    "sys.exit": "process_left",
    "exit": "process_left",
    "quit": "process_left",
    "atexit.register": "exit_hook",
    "faulthandler.enable": "exit_hook",
    "faulthandler.disable": "exit_hook",
    "faulthandler.dump_traceback_later": "exit_hook",
    "signal.signal": "signal_handled",
    "signal.alarm": "signal_handled",
    "signal.setitimer": "signal_handled",
    "os.fork": "process_forked",
    "os.forkpty": "process_forked",
    "os.posix_spawn": "process_forked",
    "os.setsid": "process_forked",
    "sys.settrace": "trace_hook",
    "sys.setprofile": "trace_hook",
    "threading.settrace": "trace_hook",
    "threading.setprofile": "trace_hook",
    "threading.settrace_all_threads": "trace_hook",
    "sys.addaudithook": "trace_hook",
    "sys.monitoring.register_callback": "trace_hook",
    "sys.monitoring.use_tool_id": "trace_hook",
    "os.dup2": "stream_replaced",
    "os.closerange": "stream_replaced",
    "inspect.getsource": "source_read",
    "inspect.getsourcelines": "source_read",
    "inspect.getsourcefile": "source_read",
    "linecache.getline": "source_read",
    "linecache.getlines": "source_read",
    "types.CodeType": "code_evaluated",
    "types.FunctionType": "code_evaluated",
    "ctypes.memmove": "memory_written",
    "ctypes.memset": "memory_written",
    "ctypes.pythonapi": "native_memory",
    "ctypes.py_object": "native_memory",
}
_ATTRIBUTES: dict[str, str] = {
    "f_locals": "frame_access",
    "f_back": "frames_named",
    "f_globals": "frames_named",
    "tb_frame": "frames_named",
    "gi_frame": "frames_named",
    "cr_frame": "frames_named",
    "co_consts": "frame_access",
}
_FRAMES = frozenset(
    ("sys._getframe", "inspect.currentframe", "inspect.stack", "sys._current_frames",
     "traceback.walk_stack", "inspect.getouterframes", "gc.get_objects", "gc.get_referrers")
)  # fmt: skip
_VALUES = frozenset(("f_locals", "co_consts", "frame"))
_EXPECTED = re.compile(
    r"^(expected?(_\w+)?|expectation|want(ed)?|golden|ground_truth|exp|reference|correct|answer"
    r"|self|request|item|_pyfuncitem|funcargs|callspec)$|^_?test|^assert",
    re.IGNORECASE,
)
_STREAMS = re.compile(r"^sys\.(__)?std(out|err)(__)?$")
_HOOKED = re.compile(r"^sys\.(meta_path|path_hooks|path_importer_cache)\b")
_PROCESS = re.compile(r"/proc/(self|thread-self|\d+|0|%|\{)")
_SPAWNS = re.compile(r"^os\.(fork|exec|spawn|posix_spawn)|^multiprocessing\.|^subprocess\.")
_MEMORY = re.compile(r"/proc/[^ ]*/mem$")
_TEST_FILE = re.compile(r"(^|/)(tests?|testing)(/|$)|(^|/)test_[\w*]*\.?\w*$|_test\.py$|conftest")
_OPENERS = frozenset(
    ("open", "io.open", "os.open", "os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob",
     "pathlib.Path", "Path", "linecache.getlines", "linecache.getline", "runpy.run_path",
     "importlib.util.spec_from_file_location", "builtins.open", "codecs.open", "tokenize.open")
)  # fmt: skip
_REPORTS = re.compile(
    r"(junit|test[-_]?report|test[-_]?results?|verdict|reward|grade|pytest[-_]\w*)\w*\.(xml|json|txt|log)$"
)
_FETCHES = re.compile(
    r"raw\.githubusercontent\.com|codeload\.github|github\.com/[\w.-]+/[\w.-]+/(raw|archive|tarball)"
    r"|files\.pythonhosted\.org|pypi\.org/(simple|pypi)/|registry\.npmjs\.org"
    r"|\b(pip|uv|conda) (install|download)\b|\bgit (clone|fetch|log|show)\b|\b(curl|wget) "
)
_DECODERS = frozenset(
    ("b64decode", "urlsafe_b64decode", "b32decode", "b85decode", "a85decode", "b16decode",
     "unhexlify", "a2b_hex", "a2b_base64", "fromhex", "decompress", "loads")
)  # fmt: skip
_RUNNERS = frozenset(("exec", "eval", "compile", "builtins.exec", "builtins.eval",
                      "builtins.compile", "types.FunctionType"))  # fmt: skip
_BLOB = re.compile(r"[A-Za-z0-9+/=_\-\s]{400,}|[0-9a-fA-F\s]{400,}")
_SECRETS = re.compile(
    r"^(_?pytest|unittest|conftest|PYTEST_\w+|assert[A-Z]\w+|SkipTest|pytest_\w+|_pytest\.[\w.]+)$"
)
_PRIVATE = re.compile(
    r"^(_getframe|f_locals|f_back|get_objects|get_referrers|_exit|__eq__|meta_path|settrace|builtins"
    r"|currentframe|exec|eval)$"
)


def interpreter_findings(source: Source) -> Iterator[Finding]:
    """Everything in a file that reaches around the language."""
    forks = any(_SPAWNS.match(source.name_of_call(node)) for node in source.nodes)
    tainted = _decoded_names(source)
    for node in source.nodes:
        if node in source.type_only:
            continue
        match node:
            case ast.Call():
                yield from _called(source, node, forks=forks, tainted=tainted)
            case ast.Attribute():
                yield from _attribute(source, node)
            case ast.Assign() | ast.AugAssign() | ast.Delete():
                yield from _assigned(source, node)
            case ast.Import() | ast.ImportFrom():
                yield from _imported(node)
            case ast.Constant() | ast.JoinedStr():
                yield from _text(source, node)
            case ast.Raise() if node.exc is not None:
                name = source.name(node.exc).removesuffix("()")
                if name in ("SystemExit", "builtins.SystemExit"):
                    yield Finding("process_left", "SystemExit", node.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _function(source, node)
            case _:
                pass
        yield from _assembled(source, node)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
    if module.partition(".")[0] in ("ctypes", "cffi") and module not in ("ctypes.util",):
        yield Finding("native_memory", "import ctypes", node.lineno)


def _called(
    source: Source, node: ast.Call, *, forks: bool, tainted: frozenset[str]
) -> Iterator[Finding]:
    name = source.name(node.func)
    kind = _CALLS.get(name)
    if kind and kind not in ("native_memory",):
        yield Finding(kind, name, node.lineno)
    first = source.fold(node.args[0]) if node.args else None
    if name == "os._exit":
        success = bool(node.args) and _is_success(source, node.args[0])
        left = success and not forks
        yield Finding("runner_left" if left else "process_ended", name, node.lineno)
    elif name in ("os.kill", "os.killpg") and any(
        source.name_of_call(inner) in ("os.getppid", "os.getpgid")
        for argument in node.args
        for inner in ast.walk(argument)
    ):
        yield Finding("runner_left", "os.getppid", node.lineno)
    elif name.endswith(".from_address") and _calls_id(source, node):
        yield Finding("memory_written", "from_address", node.lineno)
    elif name in _RUNNERS:
        yield from _evaluated(source, node, name, tainted)
    elif name in ("os.write", "os.fdopen") and node.args:
        yield from _descriptor(source, node)
    elif name in ("subprocess.Popen", "subprocess.run", "subprocess.call"):
        if any(keyword.arg == "start_new_session" for keyword in node.keywords):
            yield Finding("process_forked", name, node.lineno)
    elif _HOOKED.match(name) and name.rpartition(".")[2] in ("insert", "append", "clear", "extend"):
        yield Finding("import_hook", name, node.lineno)
    yield from _opened(source, node, name, first)


def _opened(source: Source, node: ast.Call, name: str, first: str | None) -> Iterator[Finding]:
    tail = name.rpartition(".")[2] or getattr(node.func, "attr", "")
    if name in _OPENERS or tail in ("glob", "rglob", "joinpath", "iterdir", "joinpath"):
        path = first or _last_text(source, node)
        if path and _TEST_FILE.search(path):
            yield Finding("test_file_read", path, node.lineno)
        mode = source.fold(node.args[1]) if len(node.args) > 1 else ""
        if path and _REPORTS.search(path) and (mode or "")[:1] in ("w", "a"):
            yield Finding("result_file", path, node.lineno)
    texts = [source.fold(inner) for argument in node.args for inner in _flat(argument)]
    joined = " ".join(text for text in texts if text)
    fetching = bool(joined) and len(joined) < 5_000 and _FETCHES.search(joined)
    if fetching and re.search(
        r"urlopen|request|get|Connection|Popen|run|call|check|system|fetch", tail
    ):
        yield Finding("fetched", name, node.lineno)


def _flat(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.List | ast.Tuple) else [node]


def _last_text(source: Source, node: ast.Call) -> str:
    """Texts in a call's first argument, as in ``open(Path(x) / "tests" / name)``."""
    texts = [
        source.fold(inner) or ""
        for argument in node.args[:1]
        for inner in ast.walk(argument)
        if isinstance(inner, ast.Constant)
    ]
    return "/".join(text for text in texts if text)


def _is_success(source: Source, node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and node.value in (0, False)
    return constant or source.name(node) in ("os.EX_OK", "pytest.ExitCode.OK")


def _calls_id(source: Source, node: ast.AST) -> bool:
    return any(source.name_of_call(inner) == "id" for inner in ast.walk(node))


def _evaluated(
    source: Source, node: ast.Call, name: str, tainted: frozenset[str]
) -> Iterator[Finding]:
    if name.endswith("compile") and "." in name and not name.startswith("builtins"):
        return
    text = source.fold(node.args[0]) if node.args else None
    inner_source = parse(text) if text and len(text) < 50_000 else None
    if inner_source and source.depth < 3:
        inner_source.depth = source.depth + 1
        for finding in (*runner_findings(inner_source), *interpreter_findings(inner_source)):
            yield Finding(finding.kind, finding.key, node.lineno)
    for argument in node.args[:1]:
        for inner in ast.walk(argument):
            decoded = _decodes(source, inner)
            if decoded or (isinstance(inner, ast.Name) and inner.id in tainted):
                yield Finding("hidden_code", name, node.lineno)
                return
    yield Finding("code_evaluated", name, node.lineno)


def _decodes(source: Source, node: ast.AST) -> bool:
    name = source.name_of_call(node)
    tail = name.rpartition(".")[2]
    if tail == "loads":
        return name in ("marshal.loads", "pickle.loads")
    return tail in _DECODERS or name in ("codecs.decode",)


def _decoded_names(source: Source) -> frozenset[str]:
    found = set()
    for node in source.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if any(_decodes(source, inner) for inner in ast.walk(node.value)):
            found.add(node.targets[0].id)
    return frozenset(found)


def _descriptor(source: Source, node: ast.Call) -> Iterator[Finding]:
    first = node.args[0]
    number = first.value if isinstance(first, ast.Constant) else None
    if isinstance(number, int) or (
        isinstance(first, ast.Name) and isinstance(source.function(node), ast.Module)
    ):
        yield Finding("stream_replaced", source.name(node.func), node.lineno)


def _attribute(source: Source, node: ast.Attribute) -> Iterator[Finding]:
    kind = _ATTRIBUTES.get(node.attr)
    if kind:
        yield Finding(kind, node.attr, node.lineno)
    name = source.name(node)
    if name in ("ctypes.pythonapi", "ctypes.py_object"):
        yield Finding("native_memory", name, node.lineno)
    elif name == "os._exit" and getattr(source.parents.get(node), "func", None) is not node:
        yield Finding("process_ended", name, node.lineno)


def _assigned(source: Source, node: ast.Assign | ast.AugAssign | ast.Delete) -> Iterator[Finding]:
    targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
    for target in targets:
        if isinstance(target, ast.Subscript) and source.name(target.value) == "sys.modules":
            if source.name(target.slice) != "__name__":
                yield Finding("import_hook", "sys.modules", node.lineno)
        elif isinstance(target, ast.Attribute):
            name = source.name(target)
            if _STREAMS.match(name):
                yield Finding("stream_replaced", name, node.lineno)
            elif _HOOKED.match(name):
                yield Finding("import_hook", name, node.lineno)
            elif name in ("sys.excepthook", "threading.excepthook", "sys.unraisablehook"):
                yield Finding("exit_hook", name, node.lineno)


def _text(source: Source, node: ast.Constant | ast.JoinedStr) -> Iterator[Finding]:
    if node in source.docstrings or isinstance(source.parents.get(node), ast.JoinedStr):
        return
    text = source.fold(node)
    if not text:
        return
    if len(text) >= 400 and _BLOB.fullmatch(text) and len(set(text)) > 14 and "\n" not in text:
        yield Finding("encoded_data", "text", node.lineno)
    elif len(text) < 500 and _PROCESS.search(text):
        wrong = _MEMORY.search(text)
        yield Finding("memory_written" if wrong else "process_files", "/proc", node.lineno)


def _function(
    source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
) -> Iterator[Finding]:
    """A function that takes values out of frames by names that only tests use."""
    inside = source.inside(node)
    framed = any(source.name_of_call(inner) in _FRAMES for inner in inside) or any(
        isinstance(inner, ast.Attribute) and inner.attr in ("f_back", "tb_frame")
        for inner in inside
    )
    if not framed:
        return
    valued = any(
        isinstance(inner, ast.Attribute) and inner.attr in _VALUES for inner in inside
    ) or any(source.name_of_call(inner) == "gc.get_objects" for inner in inside)
    texts = (source.fold(inner) for inner in inside if isinstance(inner, ast.Constant))
    if valued and any(text and _EXPECTED.search(text) for text in texts):
        yield Finding("expected_value_read", "frames", node.lineno)


def _assembled(source: Source, node: ast.AST) -> Iterator[Finding]:
    """A telling word that no single constant of the expression holds."""
    if not isinstance(node, ast.BinOp | ast.Call | ast.Subscript | ast.JoinedStr):
        return
    parent = source.parents.get(node)
    if isinstance(parent, ast.BinOp):
        return
    text = source.fold(node)
    secret = bool(text) and bool(_SECRETS.match(text or ""))
    if not text or not (secret or _PRIVATE.match(text)):
        if text is None and _names_something(source, node) and _only_constants(source, node):
            yield Finding("assembled_word", "computed", getattr(node, "lineno", 1))
        return
    pieces = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)]
    whole = any(
        text in (piece.decode("latin-1") if isinstance(piece, bytes) else str(piece))
        for piece in pieces
    )
    if pieces and not whole and not (isinstance(parent, ast.Call) and source.fold(parent) == text):
        kind = "assembled_name" if secret else "assembled_word"
        yield Finding(kind, text, getattr(node, "lineno", 1))


def _names_something(source: Source, node: ast.AST) -> bool:
    """Whether an expression is the name that an import or an attribute access asks for."""
    call = source.parents.get(node)
    if not isinstance(call, ast.Call):
        return False
    name = source.name(call.func)
    if name in ("__import__", "importlib.import_module", "exec", "eval"):
        return bool(call.args) and call.args[0] is node
    return name in ("getattr", "setattr") and len(call.args) > 1 and call.args[1] is node


def _only_constants(source: Source, node: ast.AST) -> bool:
    """Whether nothing but constants and functions of the language goes into an expression."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    held = any(isinstance(inner, ast.Constant) for inner in ast.walk(node))
    free = {name for name in names if name not in dir(builtins) and name not in source.aliases}
    return held and not free and not any(name.startswith("__") for name in names)
