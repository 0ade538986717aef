"""The canonical tables, one module a table: columns, types and meaning."""
