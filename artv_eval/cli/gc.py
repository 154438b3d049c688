"""``artv-eval gc``: what no run folder refers to any more."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import DryRun, quiet_stdout

STORE = Path("runs/store")


def collect(
    store: Annotated[Path, typer.Argument(help="The store; it lies beside run folders.")] = STORE,
    run: Annotated[
        list[Path], typer.Option(metavar="DIR", help="A run folder that was moved: what it refers to stays.")
    ] = [],  # noqa: B006
    twins: Annotated[Path, typer.Option(help="Folder of trained models.")] = Path("runs/twins"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Lists clips, rows and twins that no run folder refers to; with --yes removes them."""
    with quiet_stdout():
        from artv.errors import UserError, counted
        from artv_eval.results.documents import read_json
        from artv_eval.results.noted_runs import note_run, run_id
        from artv_eval.results.shared_store import SharedStore, unnamed
        from artv_eval.twins.store import TwinStore

        if store != STORE and not store.exists():  # by itself that means no sweep yet; there may be twins
            raise UserError(f"store {str(store)!r} does not exist; give store/ beside a run folder, or its --store")
        for folder in run:
            if not (folder / "manifest.json").is_file():
                raise UserError(f"--run is {str(folder)!r}, which is no run folder; give the one that was moved")
        found, models = SharedStore(store), TwinStore(twins)
        there, gone = found.runs()
        near = [folder for folder in found.near() if folder.resolve() not in {one.resolve() for one in run}]
        trained = {folder: _trainings(folder) for folder in (*run, *near)}
        near = [one for one in near if found.refers(one) or any(models.folder(key).is_dir() for key in trained[one])]
        used = {key for keys in trained.values() for key in keys}
        ids = {run_id(folder) for folder in (*run, *near)} - {None}
        gone = [note for note in gone if read_json(note).get("id") not in ids]
        clips, unused = found.unnamed(run), [unnamed(path) for path in models.unused(used)]
        lines = [f"{store}: run folders that refer to it: {len(there)}; that did and are gone: {len(gone)}"]
        lines += [f"  renamed, moved or copied, and found: {folder}" for folder in near]
        lines += [f"  gone, or on a disk that is not there now: {read_json(note)['run']}" for note in gone]
        lines += [
            f"  {item.path}: {counted(item.files, 'file')}, {item.bytes / 1e6:.1f} MB" for item in (*clips, *unused)
        ]
        yes = yes and not dry_run
        if yes:
            clips, still = found.remove(clips, run), models.unused(used)
            unused = [item for item in unused if item.path in still]  # no run has begun to use it since
            for item in unused:
                shutil.rmtree(item.path)
            for folder in (*run, *near):  # found there from now on
                models_of = [key for key in trained[folder] if models.folder(key).is_dir()]
                for notes in (found.notes, *map(models.notes, models_of)):
                    note_run(notes, folder)
        size = sum(item.bytes for item in (*clips, *unused)) / 1e9
        what = f"{counted(len(clips), 'folder')} of clips and rows, {counted(len(unused), 'twin')}, {size:.3f} GB"
        if not clips and not unused:
            lines.append("nothing to remove")
        else:
            lines.append(f"removed: {what}" if yes else f"no run folder refers to {what}; --yes removes them")
    echo("\n".join(lines))


def _trainings(run: Path) -> set[str]:
    """Ids of the trainings whose models a run has clips of."""
    from artv_eval.results.documents import read_manifest

    cells = read_manifest(run)["cells"]
    return {cell["training"]["id"] for cell in cells if cell.get("training")}
