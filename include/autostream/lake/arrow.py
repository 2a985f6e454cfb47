"""The engine's Arrow batches as Iceberg's Arrow types."""

from __future__ import annotations

import pyarrow as pa


def as_arrow(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the names and types of a schema, column by column in order."""
    arrays = [_as_type(array, field.type) for array, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as_type(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if array.type == wanted:
        return array
    table = pa.Table.from_arrays([array], names=["x"]).cast(pa.schema([("x", wanted)]))
    chunks = table.column(0)
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
