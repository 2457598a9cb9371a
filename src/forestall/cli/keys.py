"""`forestall keys`: the company's signing keys, from the ceremony to the day one is lost (docs/operate.md)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.errors import InputError
from forestall.trust.roles import Role

if TYPE_CHECKING:
    from forestall.trust.keys import Passphrase

app = typer.Typer(help="The company's signing keys.", no_args_is_help=True)

Travelling = Annotated[Path, typer.Argument(help="The folder that travels.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File whose first line is the passphrase of every key; else asked for.")
]
Recipes = Annotated[
    list[Path] | None,
    typer.Option("--recipe", help="Recipe file of an approved update that has no package; repeat."),
]
Payloads = Annotated[
    list[Path] | None, typer.Option("--payload", help="The file that a recipe names by its hash; repeat.")
]
KeyPlaces = Annotated[
    list[Path] | None, typer.Option("--keys", help="A key file, or a folder of them; repeat for several.")
]


@app.command()
def ceremony(
    folder: Annotated[
        Path | None, typer.Argument(help="A new folder [the server's own, for small companies].")
    ] = None,
    machines: Annotated[int, typer.Option(min=1, help="How many machines the company has.")] = 1_000,
    forced_an_hour: Annotated[
        int, typer.Option(min=0, help="Machines that orders may force within an hour [all].")
    ] = 0,
    development: Annotated[
        bool, typer.Option("--development", help="One passphrase, kept beside the keys: for trying out only.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Make all keys and the first root; do it on a machine without a network."""
    from forestall.clock import utc_now
    from forestall.server.settings import load_settings
    from forestall.server.trust_place import trust_place
    from forestall.trust.caps import Caps
    from forestall.trust.ceremony import hold

    place = trust_place(load_settings(data).directory)
    caps = Caps(machines, forced_an_hour or machines)
    if development:
        held = place.hold_development(caps, utc_now())
    else:
        held = hold(folder or place.folder, passphrase_of(passphrase_file, new=True), utc_now(), caps)
    if json:
        print_json({"folder": str(held.folder), "root": held.fingerprint, "keys": list(map(str, held.keys))})
        return
    print_line(f"The ceremony is held in {held.folder}: {len(held.keys)} keys.")
    print_line(f"Root: {held.fingerprint}")
    print_line("Machines are enrolled with it: forestall-agent enrol --fingerprint ...")
    if not development:
        print_line("Now carry each key of offline/ to its holder and remove it here (docs/operate.md).")


@app.command()
def status(data: Directory = None, json: Json = False) -> None:
    """Show who holds what, how many must sign, and when signatures run out."""
    from forestall.clock import utc_now
    from forestall.server.settings import load_settings
    from forestall.server.trust_place import trust_place
    from forestall.trust.standing import standing

    found = standing(trust_place(load_settings(data).directory).repository, utc_now())
    if json:
        print_json(found)
        return
    print_line(f"Root {found.root_version}: {found.fingerprint}")
    if found.development:
        print_line("DEVELOPMENT KEYS: they lie on the server and protect nothing.")
    print_table(
        ["role", "needs", "keys", "version", "signed until (UTC)", "left"],
        ([r.role, f"{r.threshold} of {len(r.keys)}", " ".join(k[:12] for k in r.keys), r.version, r.expires_at, r.left]
         for r in found.roles),
        empty="",
    )  # fmt: skip
    print_line(f"{found.approved} updates are approved, {found.orders} orders are signed.")


@app.command()
def pack(  # noqa: PLR0917, PLR0913 - a command's options
    folder: Travelling,
    approve: Annotated[list[str] | None, typer.Option(help="An update that was tested; repeat.")] = None,
    voluntary: Annotated[
        str, typer.Option(help="Nobody is forced earlier than this after the approval [policy].")
    ] = "",
    imminent: Annotated[list[str] | None, typer.Option(help="An update whose deadline moves to now.")] = None,
    reason: Annotated[str, typer.Option(help="Why the threat is imminent.")] = "",
    take_back: Annotated[list[str] | None, typer.Option(help="An update whose papers are withdrawn.")] = None,
    undo: Annotated[
        list[str] | None,
        typer.Option(
            help="A withdrawn update that may be undone: UPDATE=VERSION; of a recipe, but not an agent, UPDATE."
        ),
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Sign all papers again before they run out.")
    ] = False,
    recipe: Recipes = None,
    payload: Payloads = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Put what offline keys are to sign into a folder; it may travel on any stick."""
    from forestall.clock import utc_now
    from forestall.server.papers import Wanted, pack_papers
    from forestall.server.wiring import opened

    wanted = Wanted(
        tuple(approve or ()), voluntary, tuple(imminent or ()), reason, tuple(take_back or ()), renew=renew,
        recipes=tuple(recipe or ()), payloads=tuple(payload or ()), undo=tuple(undo or ()),
    )  # fmt: skip
    with opened(data) as installation:
        asked = pack_papers(installation, folder, wanted, utc_now())
    if json:
        print_json({"folder": str(folder), "asked": asked})
        return
    for each in asked:
        print_line(f"{each.role}: {each.missing} signatures are missing")
    print_line(f"Next, by each holder: forestall keys sign {folder} --keys KEYFILE")


@app.command()
def sign(
    folder: Travelling,
    keys: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after showing what is signed.")] = False,
    json: Json = False,
) -> None:
    """Show what a folder asks for and sign it; needs no server and no network."""
    from forestall.trust.keys import load_keys
    from forestall.trust.travel import Folder

    travelling = Folder(folder)
    asked = travelling.asked()
    if not json:
        for each in asked:
            print_line(f"{each.role}:")
            for change in each.changes:
                print_line(f"  {change}")
    if not yes and not typer.confirm("Sign this?"):
        raise typer.Exit(1)
    made = travelling.sign(load_keys(keys or [], passphrase_of(passphrase_file, new=False)))
    missing = {each.role.value: each.missing for each in travelling.asked()}
    if json:
        print_json({"signed": [[role, key] for role, key in made], "missing": missing})
        return
    print_line(f"{len(made)} signatures made.")
    for role, count in missing.items():
        print_line(f"{role}: {f'{count} more are missing' if count else 'signed by enough'}")


@app.command()
def take(folder: Travelling, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Take back a folder that enough holders signed: from now on it is in force."""
    from forestall.clock import utc_now
    from forestall.server.papers import take_papers
    from forestall.server.wiring import opened

    with opened(data) as installation:
        published = take_papers(installation, folder, by, utc_now())
    if json:
        print_json(published)
        return
    print_line(f"In force since version {published.version}.")


@app.command()
def approve(  # noqa: PLR0917, PLR0913 - a command's options
    update: Annotated[str, typer.Argument(help="The tested update, as `forestall advisory ls` names it.")],
    voluntary: Annotated[
        str, typer.Option(help="Nobody is forced earlier than this after the approval [policy].")
    ] = "",
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Approve that it is undone: UPDATE=VERSION; of a recipe, but not an agent, UPDATE."
        ),
    ] = False,
    recipe: Recipes = None,
    payload: Payloads = None,
    keys: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Pack, sign and take in one step, where enough keys are at hand: small companies, trying out."""
    from forestall.clock import utc_now
    from forestall.server.papers import Wanted, approve_here
    from forestall.server.trust_place import trust_place
    from forestall.server.wiring import opened
    from forestall.trust.keys import load_keys

    with opened(data) as installation:
        place = trust_place(installation.settings.directory)
        if passphrase_file is None and place.development_passphrase.exists():
            passphrase_file = place.development_passphrase
        held = load_keys(keys or [place.offline], passphrase_of(passphrase_file, new=False))
        wanted = Wanted(
            () if undo else (update,),
            voluntary,
            recipes=tuple(recipe or ()),
            payloads=tuple(payload or ()),
            undo=(update,) if undo else (),
        )
        published = approve_here(installation, wanted, held, by, utc_now())
    if json:
        print_json(published)
        return
    name = update.partition("=")[0]
    following = "forestall campaign undo CAMPAIGN" if undo else f"forestall campaign start {update}"
    print_line(f"{name} {'may be undone' if undo else 'is approved'}. Next: {following}")


@app.command()
def rotate(
    folder: Travelling,
    role: Annotated[Role, typer.Argument(help="Whose key is replaced.")],
    lost: Annotated[str, typer.Option(help="The beginning of the old key's id.")],
    new_key: Annotated[Path, typer.Option(help="File for the new key.")],
    passphrase_file: PassphraseFile = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Replace one key: makes the new one, and a folder in which root's holders sign the change."""
    from forestall.clock import utc_now
    from forestall.server.settings import load_settings
    from forestall.server.trust_place import trust_place
    from forestall.trust.keys import make_key
    from forestall.trust.rotation import rotate as ask_for
    from forestall.trust.travel import Folder

    travelling = Folder(folder)
    if not folder.exists() or not any(folder.iterdir()):
        travelling.pack(trust_place(load_settings(data).directory).repository)
    key = make_key(new_key, passphrase_of(passphrase_file, new=True)(new_key.name))
    ask_for(travelling, role, lost, key.public_key, utc_now())
    missing = {each.role.value: each.missing for each in travelling.asked()}
    if json:
        print_json({"key": key.public_key.keyid, "missing": missing})
        return
    print_line(f"The new key is {key.public_key.keyid}, in {new_key}.")
    for name, count in missing.items():
        print_line(f"{name}: {count} signatures are missing: forestall keys sign {folder} --keys KEYFILE")


def passphrase_of(path: Path | None, *, new: bool) -> "Passphrase":
    """Take passphrases from a file, else ask for each; twice where it is new."""
    from forestall.trust.keys import passphrase_in

    if path is not None:
        return passphrase_in(path)

    def ask(name: str) -> bytes:
        try:
            return str(
                typer.prompt(f"Passphrase of {name}", hide_input=True, confirmation_prompt=new)
            ).encode()
        except typer.Abort:
            raise InputError(f"No passphrase for {name}: type it, or name --passphrase-file") from None

    return ask
