"""What the laws read from PostgreSQL's catalog, so that a new table, column or function is covered by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

CONTRACT = ("public.organizations", "public.user_organizations", "public.support_tickets", "public.support_sessions")

# Rows of nobody: every other table of public and asoe belongs to an organization.
OF_NOBODY = {
    "asoe.foundations",
    "asoe.migrations",
    "asoe.password_resets",  # a person's
    "asoe.passwords",  # a person's, whatever it belongs to
    "asoe.secret_key_fingerprint",
    "asoe.sign_ins",  # likewise; the organization in it is the one last chosen
}

REFUSED = (asyncpg.InsufficientPrivilegeError,)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    is_required: bool
    is_generated: bool
    dimensions: int


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    table: str
    columns: tuple[str, ...]
    other: str
    other_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with tenant data, `schema.name`; `of_org` is the SQL that says which rows are organization $1's."""

    name: str
    columns: tuple[Column, ...]
    is_partition: bool
    of_org: str

    @property
    def writable(self) -> list[str]:
        return [column.name for column in self.columns if not column.is_generated]


_OF_ORG = {
    "public.organizations": "id = $1",
    "public.support_sessions": "ticket_id in (select id from public.support_tickets where org_id = $1)",
}


async def tenant_tables(connection: Any, *, partitions: bool = False) -> list[Table]:
    """Every table of public and asoe but those of nobody."""
    rows = await connection.fetch(
        """
        select format('%s.%s', n.nspname, c.relname) as name, c.relispartition as is_partition,
          array_agg(a.attname::text order by a.attnum) as names,
          array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) as types,
          array_agg(a.attnotnull and not a.atthasdef and a.attidentity = '' order by a.attnum) as required,
          array_agg(a.attgenerated <> '' or a.attidentity = 'a' order by a.attnum) as generated,
          array_agg(a.atttypmod order by a.attnum) as dimensions
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname in ('public', 'asoe') and c.relkind in ('r', 'p', 'f', 'v', 'm')
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        group by n.nspname, c.relname, c.relispartition order by 1
        """
    )
    tables = []
    for row in rows:
        if row["name"] in OF_NOBODY or (row["is_partition"] and not partitions):
            continue
        columns = tuple(
            Column(*each)
            for each in zip(
                row["names"], row["types"], row["required"], row["generated"], row["dimensions"], strict=True
            )
        )
        of_org = _OF_ORG.get(row["name"], "org_id = $1")
        assert row["name"] in _OF_ORG or "org_id" in row["names"], (
            f"{row['name']} has no org_id: a table with tenant data needs one, one without belongs into OF_NOBODY"
        )
        tables.append(Table(row["name"], columns, row["is_partition"], of_org))
    return tables


async def foreign_keys(connection: Any) -> list[ForeignKey]:
    rows = await connection.fetch(
        """
        select c.conname::text as name, c.conrelid::regclass::text as "table", c.confrelid::regclass::text as other,
          (select array_agg(a.attname::text order by k.n) from unnest(c.conkey) with ordinality k (num, n)
            join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num) as columns,
          (select array_agg(a.attname::text order by k.n) from unnest(c.confkey) with ordinality k (num, n)
            join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num) as other_columns
        from pg_constraint c join pg_namespace n on n.oid = c.connamespace
        where c.contype = 'f' and c.conparentid = 0 and n.nspname in ('public', 'asoe')
        order by 2, 1
        """
    )
    return [
        ForeignKey(
            row["name"], _full(row["table"]), tuple(row["columns"]), _full(row["other"]), tuple(row["other_columns"])
        )
        for row in rows
    ]


async def rows_of(connection: Any, table: Table, org_id: UUID) -> list[str]:
    """The organization's rows as text with their row versions, to prove that nothing touched them."""
    found = await connection.fetch(
        f"select t.xmin::text || ' ' || t.ctid::text || ' ' || t::text as line from {table.name} t where {table.of_org} order by 1",
        org_id,
    )
    return [row["line"] for row in found]


async def fill(connection: Any, table: Table, org_id: UUID, keys: list[ForeignKey]) -> None:
    """Insert one plausible row for `org_id`: foreign keys from its own rows, closed sets by their first value."""
    values: dict[str, Any] = {"org_id": org_id}
    mine = [key for key in keys if key.table == table.name]
    required = {column.name for column in table.columns if column.is_required}
    for key in sorted(mine, key=lambda key: (key.other != "public.organizations", "org_id" not in key.columns)):
        open_columns = [name for name in key.columns if name not in values]
        if not open_columns or not set(open_columns) & required:
            continue
        fixed = [(name, other) for name, other in zip(key.columns, key.other_columns, strict=True) if name in values]
        where = " and ".join(f"{other} = ${n}" for n, (_, other) in enumerate(fixed, 1)) or "true"
        used = [value for value in values.values() if isinstance(value, UUID)]
        found = await connection.fetchrow(
            f"select * from {key.other} o where {where} order by "
            f"(o.{key.other_columns[-1]}::text = any (${len(fixed) + 1}::text[])) limit 1",
            *(values[name] for name, _ in fixed),
            [str(value) for value in used],
        )
        assert found is not None, f"{table.name}: no row of {key.other} to refer to"
        values.update(
            {
                name: found[other]
                for name, other in zip(key.columns, key.other_columns, strict=True)
                if name not in values
            }
        )
    checks = await closed_sets(connection, table.name)
    expressions, arguments = [], []
    for column in table.columns:
        if column.name in values:
            arguments.append(values[column.name])
            expressions.append((column.name, f"${len(arguments)}"))
        elif column.is_required:
            expressions.append((column.name, checks.get(column.name) or _plausible(column)))
    names, marks = zip(*expressions, strict=True)
    await connection.execute(f"insert into {table.name} ({', '.join(names)}) values ({', '.join(marks)})", *arguments)


async def closed_sets(connection: Any, table: str) -> dict[str, str]:
    rows = await connection.fetch(
        "select pg_get_constraintdef(oid) as text from pg_constraint where contype = 'c' and conrelid = $1::text::regclass",
        table,
    )
    found = {}
    for row in rows:
        for name, literal in re.findall(r"\((\w+) = ANY \(ARRAY\[('(?:[^']|'')*')::", row["text"]):
            found[name] = literal
    return found


def _plausible(column: Column) -> str:
    kind = column.type.split("(")[0].split(".")[-1]
    if kind.endswith("[]"):
        return "'{abc}'" if kind == "text[]" else "'{1}'"
    if kind == "bytea":
        return f"'\\x{uuid4().hex}'"
    return {
        "text": "'abc'",
        "uuid": "gen_random_uuid()",
        "integer": "1",
        "bigint": "1",
        "smallint": "1",
        "numeric": "1",
        "real": "1",
        "double precision": "1",
        "boolean": "false",
        "date": "current_date",
        "timestamp with time zone": "now()",
        "interval": "'1 hour'",
        "jsonb": "'{}'",
        "halfvec": f"array_fill(0.5::real, array[{column.dimensions}])::{column.type}",
        "vector": f"array_fill(0.5::real, array[{column.dimensions}])::{column.type}",
        "sparsevec": f"'{{}}/{column.dimensions}'",
    }[kind]


def _full(name: str) -> str:
    return name if "." in name else f"public.{name}"
