"""What a parser's own error says of a file, or of the reader whose SQL it could not compile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from outlay.errors import OutlayError, UnreadableError
from outlay.sources.first_bytes import not_utf8
from outlay.sources.reader import Reader

__all__ = ["reading"]


@contextlib.contextmanager
def reading(paths: Path | Iterable[Path], reader: Reader | None = None) -> Iterator[None]:
    """Turn the parsers' own errors into an :class:`UnreadableError` that names the file.

    SQL that DuckDB can't compile is never the file's fault but that of the ``reader`` that wrote it, so the error names
    the reader's format.
    """
    where = str(paths) if isinstance(paths, Path) else ", ".join(str(path) for path in paths)
    import duckdb
    import pyarrow as pa

    try:
        yield
    except OutlayError:
        raise
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        format_id = f" '{reader.format.id}'" if reader is not None else ""
        raise UnreadableError(
            f"can't be read: the format{format_id} asks for SQL that does not compile "
            f"({str(error).splitlines()[0][:300].rstrip('.')}).",
            where=where,
            hint="The file may be fine: report it to the reader's author.",
        ) from error
    except (duckdb.Error, pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        text = str(error)
        folded = text.lower()
        if "truncated" in folded or "end of gzip" in folded or "end-of-stream" in folded:
            raise UnreadableError(
                "the gzip stream is truncated.", where=where, hint="Download or export it again."
            ) from error
        if "straddling" in folded or "maximum line size" in folded:
            raise UnreadableError(
                "has a row longer than 1 MiB.",
                where=where,
                hint="A quote that is never closed does this; see the file.",
            ) from error
        # Arrow can't hand a broken row that is no text to a handler, and DuckDB cuts what Arrow says of it
        if "utf" in folded or "unicode" in folded or ("csv parse error" in folded and "python exception" in folded):
            raise not_utf8(Path(where), "in its later part") from error
        raise UnreadableError(
            f"can't be read: {text.splitlines()[0][:300]}.", where=where, hint="Export it again."
        ) from error
