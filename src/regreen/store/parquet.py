"""Records as Parquet with zstd: the columns are derived from the pydantic model, nesting kept.

Only what has no fixed shape (a chat message) is stored as JSON text. Pages carry checksums, so a
damaged file is refused instead of read wrongly.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, replacing
from regreen.store.jsonl import encode_row

__all__ = ["fits_parquet", "read_parquet", "write_parquet"]

Record = TypeVar("Record", bound=BaseModel)
_BATCH = 64
_COUNT = "regreen.num_rows"  # the footer has no checksum of its own
_SCALARS = {str: "string", int: "int64", float: "float64", bool: "bool_"}


def write_parquet(path: Path, model: type[Record], records: Iterable[Record]) -> None:
    """Replace ``path`` by ``records``, a batch at a time.

    Raises:
        UsageError: a value does not fit its column, or the path cannot be written to.
        InfrastructureError: the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _arrow_schema(model)
    options = {"compression": "zstd", "write_page_checksum": True}
    iterator = iter(records)
    count = 0
    try:
        with replacing(path) as file, pq.ParquetWriter(file, schema, **options) as writer:
            while batch := list(islice(iterator, _BATCH)):
                rows = [_to_arrow(record) for record in batch]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                count += len(batch)
            writer.add_key_value_metadata({_COUNT: str(count)})
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        what = f"a value does not fit its Parquet column: {error}"
        raise UsageError(what, where=str(path), mend="write JSON lines (.jsonl) instead") from error


def fits_parquet(record: BaseModel) -> bool:
    """Whether every value has a Parquet form; numbers beyond 64 bits and lone surrogates do not."""
    import pyarrow as pa

    try:
        pa.Table.from_pylist([_to_arrow(record)], schema=_arrow_schema(type(record)))
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return False
    return True


@cache
def _arrow_schema(model: type[BaseModel]) -> Any:
    import pyarrow as pa

    fields = model.model_fields
    return pa.schema(
        [(key, _arrow_type(field.annotation)) for key, field in fields.items()],
        metadata={
            "regreen.schema_name": str(fields["schema_name"].default),
            "regreen.schema_version": str(fields["schema_version"].default),
        },
    )


def _arrow_type(annotation: Any) -> Any:
    import pyarrow as pa

    plain = _plain(annotation)
    if plain in _SCALARS:
        return getattr(pa, _SCALARS[plain])()
    if get_origin(plain) is dict:
        return pa.string() if _is_json(plain) else pa.map_(pa.string(), _arrow_type(_item(plain)))
    if get_origin(plain) is tuple:
        return pa.list_(_arrow_type(_item(plain)))
    fields = plain.model_fields.items()
    return pa.struct([(key, _arrow_type(field.annotation)) for key, field in fields])


def _plain(annotation: Any) -> Any:
    """The type behind an optional, a literal or an enumeration."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _plain(next(p for p in get_args(annotation) if p is not type(None)))
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return str
    return annotation


def _item(annotation: Any) -> Any:
    """What a ``dict[str, X]`` or ``tuple[X, ...]`` holds."""
    return get_args(annotation)[1 if get_origin(annotation) is dict else 0]


def _is_json(annotation: Any) -> bool:
    return get_origin(annotation) is dict and get_args(annotation)[1] is Any


def _to_arrow(record: BaseModel) -> dict[str, Any]:
    """As ``model_dump``, with maps as pairs and shapeless values as JSON text."""
    fields = type(record).model_fields
    return {key: _pack(getattr(record, key), field.annotation) for key, field in fields.items()}


def _pack(value: Any, annotation: Any) -> Any:
    plain = _plain(annotation)
    if value is None or plain in _SCALARS:
        return str(value) if isinstance(value, Enum) else value
    if _is_json(plain):
        return encode_row(value).decode().rstrip("\n")
    if get_origin(plain) is dict:
        return [(key, _pack(item, _item(plain))) for key, item in value.items()]
    if get_origin(plain) is tuple:
        return [_pack(item, _item(plain)) for item in value]
    return _to_arrow(value)


def _unpack(value: Any, annotation: Any) -> Any:
    plain = _plain(annotation)
    if value is None or plain in _SCALARS:
        return value
    if _is_json(plain):
        return json.loads(value) if isinstance(value, str) else value
    if get_origin(plain) is dict and isinstance(value, list):
        return {key: _unpack(item, _item(plain)) for key, item in value}
    if get_origin(plain) is tuple and isinstance(value, list):
        return [_unpack(item, _item(plain)) for item in value]
    return _unpack_row(value, plain) if isinstance(value, dict) else value


def _unpack_row(row: dict[str, Any], model: Any) -> dict[str, Any]:
    fields = getattr(model, "model_fields", {})
    return {
        key: _unpack(value, fields[key].annotation) if key in fields else value
        for key, value in row.items()
    }


def read_parquet(path: Path, model: type[BaseModel]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number (from 1) and the raw row, as a JSON line would give it.

    Raises:
        UsageError: no Parquet file, a damaged one, or one that says it holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        what = "this is a directory, not a Parquet file"
        raise UsageError(what, where=str(path), mend="name one file inside it")
    try:
        with path.open("rb") as raw:
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            metadata = file.metadata.metadata or {}
            _check_metadata(metadata, model, path)
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _unpack_row(row, model)
            if metadata.get(_COUNT.encode(), str(number).encode()) != str(number).encode():
                what = f"this Parquet file is damaged: {number} of its rows are left"
                raise UsageError(what, where=str(path), mend="restore it or write it again")
    except (pa.ArrowException, ValueError) as error:
        what = f"this is not a whole Parquet file: {str(error).splitlines()[0]}"
        mend = "write it again; JSON lines must end in .jsonl"
        raise UsageError(what, where=str(path), mend=mend) from error
    except OSError as error:
        if error.errno is None:  # pyarrow reports damaged pages this way
            what = f"this Parquet file is damaged: {str(error).splitlines()[0]}"
            raise UsageError(what, where=str(path), mend="restore it or write it again") from error
        raise disk_error(error, path) from error


def _check_metadata(metadata: dict[bytes, bytes], model: type[BaseModel], path: Path) -> None:
    expected = model.model_fields["schema_name"].default
    found = metadata.get(b"regreen.schema_name", expected.encode()).decode(errors="replace")
    if found != expected:
        what = f"this file holds {found!r} rows, not {expected!r}"
        raise UsageError(what, where=str(path), mend=f"name a file that holds {expected} rows")
    version = model.model_fields["schema_version"].default
    number = metadata.get(b"regreen.schema_version", str(version).encode()).decode(errors="replace")
    if number != str(version):
        what = f"this file has {expected} version {number} and this reader knows version {version}"
        raise UsageError(what, where=str(path), mend="upgrade regreen, or write the file again")
