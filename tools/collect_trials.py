"""The zoo's trials in this user's database → the database that ships with Quantune.

Of networks that this user has no trials of, what shipped stays.

quantune tune zoo:NAME@32 --data fashion-mnist --objective pareto --strategy random --trials 40   (every NAME)
python tools/collect_trials.py
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from command import finish
from quantune.errors import QuantuneError
from quantune.files import cache_folder, write_atomic
from quantune.search import database
from quantune.zoo import registry


def render(records: Sequence[database.Record]) -> str:
    """JSON with one trial a line."""
    parts = []
    for record in records:
        said = record.to_json()
        trials = ",\n   ".join(json.dumps(trial, allow_nan=False) for trial in said.pop("trials"))
        head = json.dumps(said, allow_nan=False).removesuffix("}")
        parts.append(f'  {head},\n  "trials": [\n   {trials}\n  ]}}')
    networks = ",\n".join(parts)
    return f'{{"schema": "{database.SCHEMA}",\n "networks": [\n{networks}\n ]}}\n'


def _newest(shipped: Sequence[database.Record], own: Sequence[database.Record]) -> list[database.Record]:
    """One record a network: of this user's weights, if that has trials enough to count."""
    found = {record.model: record for record in shipped}
    for record in own:
        before = found.get(record.model)
        if before is not None and before.name == record.name:
            found[record.model] = database.joined(before, record)
        elif len(record.trials) >= database.FEWEST:
            found[record.model] = record
    return list(found.values())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=database.SHIPPED, help="default: %(default)s")
    output = parser.parse_args(arguments).output
    names = set(registry.names())
    try:
        paths = sorted(cache_folder("trials").glob("*.json"))
        own = [record for path in paths for record in database.read(path) if record.model in names]
        if not own:
            raise QuantuneError("no network of the zoo has trials yet; run the commands of --help first")
        shipped = database.read(database.SHIPPED) if database.SHIPPED.exists() else []
        found = sorted(_newest(shipped, own), key=lambda record: record.model)
        write_atomic(output, render(found))
    except QuantuneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Written: {output}, {sum(len(r.trials) for r in found)} trials of {len(found)} networks")
    return 0


if __name__ == "__main__":
    finish(main)
