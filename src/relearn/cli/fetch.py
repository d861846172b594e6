"""`relearn fetch`: the embedded models, for a machine that will be offline."""

from relearn.cli.common import console


def fetch() -> None:
    """Download the embedded models to the cache, so that later commands need no network.

    Those that relearn uses unless told otherwise; a further one is fetched when it is named.
    """
    from relearn.store.embedded import EMBEDDED, embedded_folder

    for name in (name for name, model in EMBEDDED.items() if not model.on_demand):
        console.print(f"{name}: {embedded_folder(name)}", soft_wrap=True, highlight=False)
